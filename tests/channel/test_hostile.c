/* Whatever stands in shared memory: the worker and the process say what is wrong, or go on with clean data. Neither
 * crashes, hangs, or reads beyond what is there (address sanitizer, and the end of the mappings).
 * weir-test: timeout=60 */
#include "channel/pair.h"

#include "core/clock.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { STEPS = 9, FUZZ_ROUNDS = 1500 };

/* A channel with steps in slots and in the spill file and with tombstones, and what it looked like. */
typedef struct victim {
  scene               s;
  pair                p;
  weir__channel_terms terms;
  weir__control      *control;
  weir__data         *data;
  size_t              control_bytes, data_bytes;
  char               *control_was, *data_was;
} victim;

static void open_victim(victim *v, weir__channel_policy policy) {
  char       host[256], name[400];
  weir__note note;
  *v       = (victim){.s = scene_open(), .terms = v->terms};
  v->terms = (weir__channel_terms){.slots           = 3,
                                   .held            = 8,
                                   .timeout_ns      = 1000000,
                                   .policy          = policy,
                                   .fallback        = WEIR__FALLBACK_DROP,
                                   .spill_bytes     = 3 * WEIR__PAGE,
                                   .spill_directory = v->s.run,
                                   .supervised      = true,
                                   .node            = v->terms.node};
  pair_open(&v->p, &v->s, &v->terms);
  for (int i = 0; i < STEPS; i++) assert_int_equal(pair_put(v->p.writer, i), WEIR_OK);
  weir__channel_host(host);
  snprintf(name, sizeof name, "%s.pair.0", host);
  assert_int_equal(weir__note_read(v->s.run, name, &note), WEIR_OK);
  assert_int_equal(weir__shared_open("victim", getpid(), note.fd, WEIR__CONTROL_MAGIC, sizeof *v->control, &v->control,
                                     &v->control_bytes),
                   WEIR_OK);
  assert_int_equal(weir__shared_open("victim", getpid(), v->control->data_fd, WEIR__DATA_MAGIC, sizeof *v->data,
                                     &v->data, &v->data_bytes),
                   WEIR_OK);
  v->control->holder = 0; /* as if its worker had died */
  v->control_was     = malloc(v->control_bytes);
  v->data_was        = malloc(v->data_bytes);
  memcpy(v->control_was, v->control, v->control_bytes);
  memcpy(v->data_was, v->data, v->data_bytes);
}

static void restore(victim *v) {
  memcpy(v->control, v->control_was, v->control_bytes);
  memcpy(v->data, v->data_was, v->data_bytes);
}

static void close_victim(victim *v) {
  restore(v);
  weir__shared_unmap(&v->data, v->data_bytes);
  weir__shared_unmap(&v->control, v->control_bytes);
  free(v->control_was);
  free(v->data_was);
  pair_close(&v->p);
  scene_close(&v->s, 0);
}

/* How far a worker got that comes to a channel as it is now. */
typedef struct outcome {
  weir_status         attach, post, map;
  weir__channel_event event;
  int                 records, right;
} outcome;

static double touched; /* so that what is read is read */

static void read_all(weir__channel *channel, outcome *o) {
  weir__channel_record record;
  while ((o->event = weir__channel_next(channel, &record)) == WEIR__CHANNEL_STEP && o->records < 1000) {
    o->records++;
    o->right += pair_right(channel, &record);
    for (int piece = 0; piece < PAIR_PIECES; piece++) {
      weir_view view;
      if (weir__channel_piece(channel, record.sequence, piece, &view) || !view.data) continue;
      const uint8_t *bytes = view.data;
      for (int64_t i = 0; i < weir_view_size(&view) * (int64_t)weir_dtype_size(view.dtype); i++) touched += bytes[i];
    }
    touched += (double)strlen(record.why);
    if (o->records % 3 == 0) weir__channel_acknowledge(channel, record.sequence);
    (void)!weir__channel_check(channel);
  }
  assert_true(o->records < 1000);
  touched += (double)strlen(weir__channel_message(channel));
}

static outcome visit(victim *v) {
  outcome             o     = {.event = WEIR__CHANNEL_NOTHING};
  weir__channel_terms terms = v->terms;
  weir__channel      *channel;
  weir__channel_stats stats;
  terms.trigger  = &pair_always;
  terms.triggers = 1;
  terms.doorbell = v->p.bell;
  o.attach       = weir__channel_attach(v->s.run, "pair", 0, &channel);
  if (o.attach) return o;
  o.post = weir__channel_demand_post(channel, pair_demands, &terms);
  if (!o.post) o.map = weir__channel_map(channel);
  if (!o.post && !o.map) read_all(channel, &o);
  weir__channel_stats_get(channel, &stats);
  touched += weir__channel_alive(channel);
  weir__channel_detach(&channel);
  return o;
}

static bool is_clean(weir_status status) {
  return status == WEIR_OK || status == WEIR_END || status == WEIR_ERR_INPUT || status == WEIR_ERR_GONE ||
         status == WEIR_ERR_STATE || status == WEIR_ERR_IO || status == WEIR_ERR_MEMORY || status == WEIR_ERR_OVERFLOW;
}

static const uint64_t values[] = {0, 1, UINT64_MAX, INT64_MAX, UINT64_C(0x0000000100000001), UINT64_C(1) << 40};
enum { VALUES = sizeof values / sizeof *values };

/* Try all values in the words [from, to) of a segment. Returns how often the damage was noticed. */
static int damage_words(victim *v, void *segment, size_t from, size_t to) {
  int noticed = 0;
  for (size_t at = from; at + 8 <= to; at += 8)
    for (int k = 0; k < VALUES; k++) {
      restore(v);
      memcpy((char *)segment + at, &values[k], 8);
      outcome o = visit(v);
      if (!is_clean(o.attach) || !(is_clean(o.post) || o.post == WEIR_ERR_ARGUMENT) || !is_clean(o.map))
        fail_msg("word at %zu, value %d: %d %d %d: %s", at, k, o.attach, o.post, o.map, weir_error_last());
      noticed += o.attach || o.post || o.map || o.event == WEIR__CHANNEL_LOST;
    }
  return noticed;
}

static void an_undamaged_channel_is_read(void **state) {
  (void)state;
  victim v = {0};
  open_victim(&v, WEIR__POLICY_SPILL);
  for (int i = 0; i < 2; i++) {
    outcome o = visit(&v);
    assert_true(!o.attach && !o.post && !o.map);
    assert_int_equal(o.records, STEPS);
    assert_int_equal(o.right, STEPS);
    assert_int_equal(o.event, WEIR__CHANNEL_NOTHING);
    restore(&v);
  }
  close_victim(&v);
}

static void damaged_control_segments(void **state) {
  (void)state;
  victim v = {0};
  open_victim(&v, WEIR__POLICY_SPILL);
  size_t changes = offsetof(weir__control, change), after = offsetof(weir__control, changes_taken);
  int    head = damage_words(&v, v.control, 0, offsetof(weir__control, answer));
  assert_true(head > 40); /* of 11 words */
  damage_words(&v, v.control, offsetof(weir__control, answer), changes);
  damage_words(&v, v.control, after, offsetof(weir__control, ledger)); /* nobody reads the ledger of a single process */
  int packed = damage_words(&v, v.control, sizeof *v.control, v.control_bytes);
  assert_true(packed > 100);
  close_victim(&v);
}

static void damaged_data_segments(void **state) {
  (void)state;
  victim v = {0};
  open_victim(&v, WEIR__POLICY_SPILL);
  size_t log  = (size_t)v.data->log_at;
  int    head = damage_words(&v, v.data, 0, sizeof *v.data);
  assert_true(head > 50); /* of 13 words */
  for (int e = 0; e < STEPS; e++) {
    size_t entry   = log + (size_t)e * sizeof(weir__entry);
    int    noticed = damage_words(&v, v.data, entry, entry + offsetof(weir__entry, why) + 16);
    assert_true(noticed > 8);
  }
  /* a text without an end */
  restore(&v);
  memset(weir__at(v.data, log + (STEPS - 1) * sizeof(weir__entry) + offsetof(weir__entry, why)), 'x', WEIR__WHY_MAX);
  memset(v.control->message, 'x', sizeof v.control->message);
  v.control->state = WEIR__STATE_LOST;
  weir__channel *channel;
  assert_int_equal(weir__channel_attach(v.s.run, "pair", 0, &channel), WEIR_OK);
  assert_int_equal(strlen(weir__channel_message(channel)), WEIR__MESSAGE_MAX - 1);
  weir__channel_detach(&channel);
  restore(&v);
  memset(weir__at(v.data, log + (STEPS - 1) * sizeof(weir__entry) + offsetof(weir__entry, why)), 'x', WEIR__WHY_MAX);
  assert_int_equal(visit(&v).records, STEPS);
  close_victim(&v);
}

/* Numbers in the log that cannot be: refused with a message that says so. */
static void impossible_logs_are_told(void **state) {
  (void)state;
  victim v = {0};
  open_victim(&v, WEIR__POLICY_SPILL);
  weir__entry *log = weir__at(v.data, v.data->log_at);
#define EXPECT(change, records_before, text)                                                                           \
  do {                                                                                                                 \
    weir__channel      *channel;                                                                                       \
    weir__channel_terms terms = v.terms;                                                                               \
    outcome             o     = {0};                                                                                   \
    restore(&v);                                                                                                       \
    change;                                                                                                            \
    terms.trigger  = &pair_always;                                                                                     \
    terms.triggers = 1;                                                                                                \
    terms.doorbell = v.p.bell;                                                                                         \
    assert_int_equal(weir__channel_attach(v.s.run, "pair", 0, &channel), WEIR_OK);                                     \
    assert_int_equal(weir__channel_demand_post(channel, pair_demands, &terms), WEIR_OK);                               \
    assert_int_equal(weir__channel_map(channel), WEIR_OK);                                                             \
    read_all(channel, &o);                                                                                             \
    assert_int_equal(o.event, WEIR__CHANNEL_LOST);                                                                     \
    assert_int_equal(o.records, records_before);                                                                       \
    if (!strstr(weir__channel_message(channel), text)) fail_msg("%s", weir__channel_message(channel));                 \
    weir__channel_detach(&channel);                                                                                    \
  } while (0)
  EXPECT(log[2].sequence = 7, 2, "a sequence number is out of order");
  EXPECT(log[0].sequence = 1, 0, "a sequence number is out of order");
  EXPECT(log[1].place = 3 + 3, 1, "a place is out of range");
  EXPECT(log[1].place = -1, 1, "a place is out of range");
  EXPECT(log[1].flags = 8, 1, "an entry of no known kind");
  EXPECT(log[1].flags = WEIR__ENTRY_LEFT_OUT, 1, "an entry of no known kind");
  EXPECT(log[1].state = 9, 1, "an entry of no known state");
  EXPECT(log[1].fired = 2, 1, "a trigger that nobody asked for");
  EXPECT(log[1].time = -1.0 / 0.0, 1, "a time is out of range");
  EXPECT(log[2].saved = 2, 2, "a saved step is out of range"); /* it cannot be saved before it begins */
  EXPECT(log[2].saved = INT64_MAX, 2, "a saved step is out of range");
  EXPECT(log[7].more = UINT64_MAX - 9, 7, "a tombstone is out of range");
  EXPECT(log[7].last_step[0] = -5, 7, "a tombstone is out of range");
  EXPECT(v.control->published = 100, STEPS, "a sequence number is out of order"); /* entries that are not there */
#undef EXPECT
  close_victim(&v);
}

/* Many words at once, by chance; the seed is told when something goes wrong. */
static void damage_by_chance(void **state) {
  (void)state;
  victim v = {0};
  open_victim(&v, WEIR__POLICY_SPILL);
  size_t control = offsetof(weir__control, change), log = (size_t)v.data->log_at + STEPS * sizeof(weir__entry);
  double until = now_s() + 6;
  int    round = 0;
  for (; round < FUZZ_ROUNDS && now_s() < until; round++) {
    uint64_t seed = (uint64_t)round + 1;
    restore(&v);
    for (int n = 0; n < 1 + round % 4; n++) {
      /* Knuth's MMIX generator: any sequence will do */
      seed          = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      bool   inside = seed >> 63;
      size_t range  = inside ? log - sizeof *v.data : control - offsetof(weir__control, answer);
      char  *from   = inside ? (char *)v.data + sizeof *v.data : (char *)v.control + offsetof(weir__control, answer);
      size_t at     = (size_t)(seed >> 20) % range;
      from[at]      = (char)(seed >> 12);
    }
    outcome o = visit(&v);
    if (!is_clean(o.attach) || !(is_clean(o.post) || o.post == WEIR_ERR_ARGUMENT) || !is_clean(o.map))
      fail_msg("round %d: %d %d %d: %s", round, o.attach, o.post, o.map, weir_error_last());
  }
  printf("%d rounds\n", round);
  close_victim(&v);
}

/* ---- the process as the victim ---- */

/* A worker that writes nonsense costs the process its analysis at most. */
static void a_process_survives_its_worker(void **state) {
  (void)state;
  static const weir__channel_policy policies[] = {WEIR__POLICY_DROP_NEWEST, WEIR__POLICY_DROP_OLDEST};
  for (int k = 0; k < 2; k++) {
    victim  v    = {0};
    int64_t step = STEPS;
    open_victim(&v, policies[k]);
    size_t log = (size_t)v.data->log_at, changes = offsetof(weir__control, change);
    for (size_t at = offsetof(weir__control, answer); at + 8 <= changes; at += 8)
      for (int i = 0; i < VALUES; i++, step++) {
        restore(&v);
        memcpy((char *)v.control + at, &values[i], 8);
        weir_status status = pair_put(v.p.writer, step);
        bool        fine   = !status || status == WEIR_ERR_GONE || status == WEIR_ERR_INPUT;
        if (!fine) fail_msg("word at %zu, value %d: %s", at, i, weir_error_last());
      }
    for (size_t at = log; at + 8 <= log + STEPS * sizeof(weir__entry); at += 8)
      for (int i = 0; i < VALUES; i++, step++) {
        restore(&v);
        memcpy((char *)v.data + at, &values[i], 8);
        assert_int_equal(pair_put(v.p.writer, step), WEIR_OK);
      }
    v.control->answer = weir__answer_word(1, WEIR__ANSWER_LEFT);
    memcpy(v.control_was, v.control, v.control_bytes);
    close_victim(&v);
  }
}

/* Words of a ledger that could mean something to the steps that follow, and others. */
static uint64_t ledger_value(int i, int64_t step) {
  enum { PLACE_SHIFT = 10, COUNT_SHIFT = 13 };
  uint64_t next = (uint64_t)step + 1;
  if (i < VALUES) return values[i];
  i -= VALUES;
  uint64_t near = next + (uint64_t)(i % 4) - 1, low = (uint64_t)(i / 4 % 6);
  return i < 24 ? near << PLACE_SHIFT | (low < 5 ? low : 1000) : near << COUNT_SHIFT | (low < 4 ? low : 4097 + low);
}

/* What stands in the ledger, or is said to be one, costs steps at most. */
static void a_process_survives_its_ledger(void **state) {
  (void)state;
  static const weir__channel_policy policies[] = {WEIR__POLICY_DROP_NEWEST, WEIR__POLICY_DROP_OLDEST};
  for (int k = 0; k < 2; k++) {
    victim  v    = {.terms.node = {.first_rank = 0, .processes = 2}};
    int64_t step = STEPS;
    open_victim(&v, policies[k]);
    size_t words[] = {offsetof(weir__ledger, decided),         offsetof(weir__ledger, place[0]),
                      offsetof(weir__ledger, place[1]),        offsetof(weir__ledger, place[2]),
                      offsetof(weir__ledger, acknowledged[0]), offsetof(weir__ledger, acknowledged[1])};
    for (int at = 0; at < 36; at++)
      for (int i = 0; i < (VALUES + 48) * (VALUES + 48); i += 7, step += 2) {
        restore(&v);
        uint64_t one = ledger_value(i % (VALUES + 48), step), other = ledger_value(i / (VALUES + 48), step);
        memcpy((char *)&v.control->ledger + words[at % 6], &one, 8);
        memcpy((char *)&v.control->ledger + words[at / 6], &other, 8);
        double begin = now_s();
        assert_int_equal(pair_put(v.p.writer, step), WEIR_OK);
        assert_int_equal(pair_put(v.p.writer, step + 1), WEIR_OK);
        assert_true(now_s() - begin < 1);
        if (i % 11) continue;
        outcome o = visit(&v);
        assert_true(!o.attach && !o.post && !o.map);
      }
    close_victim(&v);
  }
}

/* A ledger that the terms place where there is none is as none. */
static void other_files_are_no_ledgers(void **state) {
  (void)state;
  victim  v    = {.terms.node = {.first_rank = 0, .processes = 2}};
  int64_t step = STEPS;
  open_victim(&v, WEIR__POLICY_DROP_NEWEST);
  int64_t        pids[] = {0, -1, 1, getpid(), INT64_MAX};
  int            fds[] = {-1, 0, 1, v.control->data_fd, 100000}, counts[] = {-1, 0, 1, 2, 1025, INT32_MAX};
  const uint32_t epoch_after = weir__answer_epoch(v.control->answer) + 1;
  for (int i = 0; i < 5 * 5 * 6; i++, step++) {
    restore(&v);
    v.control->ledger_pid       = pids[i % 5];
    v.control->ledger_fd        = fds[i / 5 % 5];
    v.control->ledger_processes = counts[i / 25];
    v.control->holder           = weir__holder_word(getpid(), weir__process_start(getpid()));
    v.control->answer           = weir__answer_word(epoch_after + (uint32_t)i, WEIR__ANSWER_READY);
    assert_int_equal(pair_put(v.p.writer, step), WEIR_OK);
  }
  close_victim(&v);
}

/* Terms that no worker of this weir would post. */
static void damaged_terms_are_refused(void **state) {
  (void)state;
  size_t terms = offsetof(weir__control, terms), room = 0;
  assert_int_equal(weir__demands_room(&pair_definitions, &room), WEIR_OK);
  for (size_t at = 0; at < sizeof(weir__terms) + room; at += at < 48 || at > sizeof(weir__terms) ? 4 : 64) {
    scene s = scene_open();
    pair  p;
    char  host[256], name[400];
    pair_begin(&p, &s);
    weir__channel_terms given = {
        .trigger = &pair_always, .triggers = 1, .doorbell = p.bell, .timeout_ns = 1000000, .slots = 2};
    assert_int_equal(weir__channel_demand_post(p.channel, pair_demands, &given), WEIR_OK);
    weir__note     note;
    weir__control *control;
    size_t         bytes;
    weir__channel_host(host);
    snprintf(name, sizeof name, "%s.pair.0", host);
    assert_int_equal(weir__note_read(s.run, name, &note), WEIR_OK);
    assert_int_equal(
        weir__shared_open("victim", getpid(), note.fd, WEIR__CONTROL_MAGIC, sizeof *control, &control, &bytes),
        WEIR_OK);
    uint32_t value = 0x7fffffff;
    size_t   where = at < sizeof(weir__terms) ? terms + at : sizeof *control + at - sizeof(weir__terms);
    memcpy((char *)control + where, &value, 4);
    weir_status status = weir__writer_await(p.writer, 1000000000);
    assert_true(is_clean(status));
    if (!status) {
      weir_status map = weir__channel_map(p.channel); /* it sees another layout than it asked for, or the same */
      assert_true(map == WEIR_OK || map == WEIR_ERR_INPUT);
      weir_status put = pair_put(p.writer, 0);
      assert_true(put == WEIR_OK || put == WEIR_ERR_STATE || put == WEIR_ERR_TIMEOUT);
    }
    control->answer = weir__answer_word(1, WEIR__ANSWER_LEFT);
    weir__shared_unmap(&control, bytes);
    pair_close(&p);
    scene_close(&s, 0);
  }
}

/* ---- other users, other files ---- */

static void only_we_may_read(void **state) {
  (void)state;
  scene  s   = scene_open();
  mode_t was = umask(0);
  pair   p;
  char   path[900], host[256];
  pair_begin(&p, &s);
  umask(was);
  struct stat status;
  snprintf(path, sizeof path, "%s/channel", s.run);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0700);
  weir__channel_host(host);
  snprintf(path, sizeof path, "%s/channel/%.200s.pair.0", s.run, host);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
  /* a link instead of a note is not followed */
  char           other[920];
  weir__channel *channel;
  snprintf(other, sizeof other, "%s.moved", path);
  assert_int_equal(rename(path, other), 0);
  assert_int_equal(symlink(other, path), 0);
  assert_int_equal(weir__channel_attach(s.run, "pair", 0, &channel), WEIR_ERR_IO);
  assert_int_equal(rename(other, path), 0);
  pair_close(&p);
  scene_close(&s, 0);
}

static int publish_as_nobody(const scene *s, const void *argument) {
  weir__writer *writer;
  (void)argument;
  CHILD_CHECK(!setgid(65534) && !setuid(65534));
  CHILD_CHECK(!weir__writer_create(s->run, &pair_definitions, &writer));
  for (;;) pause();
}

static void channels_of_other_users_are_refused(void **state) {
  (void)state;
  if (geteuid()) skip();
  scene          s = scene_open();
  weir__channel *channel;
  weir_status    status;
  char           path[900], host[256], text[200];
  weir__channel_host(host);
  assert_int_equal(chmod(s.run, 0777), 0);
  pid_t other = scene_fork(publish_as_nobody, &s, NULL);
  for (int i = 0; (status = weir__channel_attach(s.run, "pair", 0, &channel)) == WEIR_ERR_GONE && i < 1000; i++)
    rest_ms(5);
  assert_int_equal(status, WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "not a file of this user"));
  /* a note of ours that points to a process of another user */
  snprintf(path, sizeof path, "%s/channel/%s.pair.0", s.run, host);
  assert_int_equal(unlink(path), 0);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fprintf(file, "weir-channel %d\npid %d\nstart %lld\nfd 3\nsize 1\n", WEIR__SHARED_VERSION, (int)other,
          (long long)weir__process_start(other));
  fclose(file);
  assert_int_equal(weir__channel_attach(s.run, "pair", 0, &channel), WEIR_ERR_INPUT);
  snprintf(text, sizeof text, "process %d belongs to user 65534, this is user 0", (int)other);
  assert_non_null(strstr(weir_error_last(), text));
  kill(other, SIGKILL);
  assert_int_equal(waitpid(other, NULL, 0), other);
  assert_int_equal(weir__channel_attach(s.run, "pair", 0, &channel), WEIR_ERR_GONE);
  scene_close(&s, 0);
}

/* Files that are no segments: too short, not sealed, something else. */
static void other_files_are_no_segments(void **state) {
  (void)state;
  scene          s = scene_open();
  weir__control *control;
  size_t         bytes;
  int            pipes[2], fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  assert_int_equal(ftruncate(fd, 100), 0);
  assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  assert_int_equal(pipe(pipes), 0);
  int list[] = {fd, pipes[0], pipes[1], open("/dev/null", O_RDWR), open(s.run, O_RDONLY)};
  for (int i = 0; i < 5; i++) {
    weir_status status =
        weir__shared_open("it", getpid(), list[i], WEIR__CONTROL_MAGIC, sizeof *control, &control, &bytes);
    assert_true(status == WEIR_ERR_INPUT || status == WEIR_ERR_IO);
    close(list[i]);
  }
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_undamaged_channel_is_read),
      cmocka_unit_test(damaged_control_segments),
      cmocka_unit_test(damaged_data_segments),
      cmocka_unit_test(impossible_logs_are_told),
      cmocka_unit_test(damage_by_chance),
      cmocka_unit_test(a_process_survives_its_worker),
      cmocka_unit_test(a_process_survives_its_ledger),
      cmocka_unit_test(other_files_are_no_ledgers),
      cmocka_unit_test(damaged_terms_are_refused),
      cmocka_unit_test(only_we_may_read),
      cmocka_unit_test(channels_of_other_users_are_refused),
      cmocka_unit_test(other_files_are_no_segments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
