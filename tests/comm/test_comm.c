/* weir-test: ranks=1,2,3,4 timeout=120
 *
 * Proves the communicator on any number of processes: collectives; one status and message for all after a failure
 * anywhere; sparse exchanges of random patterns back to back, where no letter is taken for one of the next exchange;
 * and many nonblocking messages of random sizes in random order, completed a few at a time. */
#include "comm/comm.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static weir__comm *comm;
static int         rank, size;

static uint64_t below(uint64_t n) { return test_random() % n; }

static void sums_and_maxima(void **state) {
  (void)state;
  for (int64_t round = 0; round < 50; round++) {
    int64_t most[3] = {rank, -rank, round * rank}, sum[2] = {rank + 1, INT64_MIN / 8 + rank};
    assert_int_equal(weir__comm_max(comm, most, 3), WEIR_OK);
    assert_int_equal(weir__comm_sum(comm, sum, 2), WEIR_OK);
    assert_int_equal(most[0], size - 1);
    assert_int_equal(most[1], 0);
    assert_int_equal(most[2], round * (size - 1));
    assert_int_equal(sum[0], size * (size + 1) / 2);
    assert_true(sum[1] == INT64_MIN / 8 * size + size * (size - 1) / 2);
  }
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
}

static void broadcasts(void **state) {
  (void)state;
  static unsigned char bytes[100000];
  for (int root = 0; root < size; root++)
    for (size_t n = 0; n <= sizeof bytes; n = n * 10 + 1) {
      for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)(rank == root ? i * 7 + (size_t)root : 0);
      assert_int_equal(weir__comm_broadcast(comm, bytes, n, root), WEIR_OK);
      for (size_t i = 0; i < n; i++) assert_int_equal(bytes[i], (unsigned char)(i * 7 + (size_t)root));
    }
}

/* The lowest process that failed gives status and message to all, however bad the others' failures are. */
static void one_failure_for_all(void **state) {
  (void)state;
  assert_int_equal(weir__comm_agree(comm, WEIR_OK), WEIR_OK);
  assert_int_equal(weir__comm_agree(comm, rank ? WEIR_OK : WEIR_END), rank ? WEIR_OK : WEIR_END);
  for (unsigned failing = 1; failing < 1u << size; failing++) {
    int         lowest = __builtin_ctz(failing);
    char        expected[100];
    weir_status status = WEIR_OK;
    if (failing >> rank & 1) status = WEIR_FAIL((weir_status)(-1 - (rank * 5 + 3) % 11), "process %d failed", rank);
    snprintf(expected, sizeof expected, "process %d failed", lowest);
    assert_int_equal(weir__comm_agree(comm, status), -1 - (lowest * 5 + 3) % 11);
    assert_string_equal(weir_error_last(), expected);
  }
}

/* A letter says who wrote it, to whom, in which exchange, and is filled with what follows from that. */
static size_t letter_size(int from, int to, int64_t round) {
  test_seed = (uint64_t)(round * 1000 + from * 10 + to);
  switch (below(4)) {
  case 0: return 0; /* none */
  case 1: return 8;
  case 2: return 8 + (size_t)below(100);
  default: return 8 + (size_t)below(20000); /* larger than what goes without being asked for */
  }
}

static void fill(unsigned char *bytes, size_t n, int from, int64_t round) {
  memcpy(bytes, &round, sizeof round);
  for (size_t i = 8; i < n; i++) bytes[i] = (unsigned char)(i * 13 + (size_t)from + (size_t)round);
}

static void exchanges(void **state) {
  (void)state;
  for (int64_t round = 0; round < 200; round++) {
    weir__letter sent[8], *received = NULL;
    int          count = 0, arrived = 0, expected = 0;
    for (int to = 0; to < size; to++) { /* also to itself */
      size_t n = letter_size(rank, to, round);
      if (!n) continue;
      sent[count].peer  = to;
      sent[count].size  = n;
      sent[count].bytes = malloc(n + 8);
      fill(sent[count++].bytes, n, rank, round);
    }
    assert_int_equal(weir__comm_exchange(comm, sent, count, &received, &arrived), WEIR_OK);
    for (int from = 0; from < size; from++) expected += letter_size(from, rank, round) > 0;
    assert_int_equal(arrived, expected);
    for (int i = 0; i < arrived; i++) {
      size_t         n    = letter_size(received[i].peer, rank, round);
      unsigned char *same = malloc(n + 8);
      assert_int_equal(received[i].size, n);
      fill(same, n, received[i].peer, round);
      assert_memory_equal(received[i].bytes, same, n);
      free(same);
      for (int k = 0; k < i; k++) assert_int_not_equal(received[i].peer, received[k].peer);
    }
    weir__comm_letters_free(&received, arrived);
    assert_null(received);
    for (int i = 0; i < count; i++) free(sent[i].bytes);
  }
}

static void empty_letters(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    weir__letter sent = {.peer = (rank + 1) % size}, *received = NULL;
    int          count = 0;
    assert_int_equal(weir__comm_exchange(comm, &sent, 1, &received, &count), WEIR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(received->peer, (rank + size - 1) % size);
    assert_int_equal(received->size, 0);
    weir__comm_letters_free(&received, count);
    assert_int_equal(weir__comm_exchange(comm, NULL, 0, &received, &count), WEIR_OK);
    assert_int_equal(count, 0);
  }
}

/* All pairs exchange MESSAGES messages; starts in random order, completions asked for `most` at a time. */
enum { MESSAGES = 60, LONGEST = 70000, QUEUES = 2 };

static size_t message_size(int from, int to, int tag) {
  test_seed = (uint64_t)(from * 10000 + to * 1000 + tag);
  return 1 + (size_t)(below(3) ? below(200) : below(LONGEST - 1));
}

/* True: it is over already. */
static bool start(weir__requests *r, int slot, unsigned char *buffer) {
  bool   over = false;
  int    half = slot / 2, peer = (rank + 1 + half / MESSAGES) % size, tag = half % MESSAGES;
  bool   receives = slot & 1;
  size_t n        = receives ? message_size(peer, rank, tag) : message_size(rank, peer, tag);
  for (size_t i = 0; i < n; i++) buffer[i] = (unsigned char)(receives ? 0 : i + (size_t)(rank * 3 + tag));
  weir__receive receive = {.queue    = half % QUEUES,
                           .slot     = slot,
                           .bytes    = buffer,
                           .size     = n,
                           .peer     = peer,
                           .tag      = tag,
                           .together = half % 3 == 0};
  if (receives) assert_int_equal(weir__request_receive(r, &receive), WEIR_OK);
  else
    assert_int_equal(
        weir__request_send(r, &(weir__send){.slot = slot, .bytes = buffer, .size = n, .peer = peer, .tag = tag}, &over),
        WEIR_OK);
  return over;
}

static void check_received(int slot, const unsigned char *buffer) {
  int peer = (rank + 1 + slot / 2 / MESSAGES) % size, tag = slot / 2 % MESSAGES;
  for (size_t i = 0, n = message_size(peer, rank, tag); i < n; i++)
    assert_int_equal(buffer[i], (unsigned char)(i + (size_t)(peer * 3 + tag)));
}

static void many_in_flight(void **state) {
  (void)state;
  int             slots = 2 * MESSAGES * (size - 1), sends = slots / 2, order[2 * MESSAGES * 8];
  unsigned char **buffer;
  weir__requests *r = NULL;
  if (size == 1) skip();
  buffer = calloc((size_t)slots, sizeof *buffer);
  for (int i = 0; i < slots; i++) buffer[i] = malloc(LONGEST + 1);
  assert_int_equal(weir__requests_create(comm, QUEUES, sends, sends, &r), WEIR_OK);
  for (int round = 0; round < 12; round++) {
    int most = round % 3 ? slots : 3, done[2 * MESSAGES * 8], left = slots;
    for (int i = 0; i < slots; i++) order[i] = i;
    test_seed = (uint64_t)(round * 100 + rank);
    for (int i = slots - 1; i > 0; i--) {
      int k = (int)below((uint64_t)i + 1), t = order[i];
      order[i] = order[k], order[k] = t;
    }
    for (int i = 0; i < slots; i++) left -= start(r, order[i], buffer[order[i]]);
    while (left) {
      int count = 0;
      assert_int_equal(weir__requests_pending(r), left);
      assert_int_equal(weir__requests_test(r, round % 2, done, most, &count), WEIR_OK);
      assert_true(count <= most);
      for (int i = 0; i < count; i++)
        if (done[i] & 1) check_received(done[i], buffer[done[i]]);
      left -= count;
    }
  }
  weir__requests_destroy(&r);
  assert_null(r);
  for (int i = 0; i < slots; i++) free(buffer[i]);
  free(buffer);
}

static void too_many(void **state) {
  weir__requests *r = NULL;
  bool            over;
  char            byte = 0;
  if (size == 1) skip();
  (void)state;
  assert_int_equal(weir__requests_create(comm, 1, 0, 0, &r), WEIR_OK);
  assert_int_equal(weir__request_send(r, &(weir__send){.bytes = &byte, .size = 1, .peer = (rank + 1) % size}, &over),
                   WEIR_ERR_INTERNAL);
  assert_int_equal(weir__request_receive(r, &(weir__receive){.bytes = &byte, .size = 1}), WEIR_ERR_INTERNAL);
  weir__requests_destroy(&r);
}

/* Two agreements under way at once, started in different orders on different processes. */
static void minima(void **state) {
  weir__agreement *agreement[2];
  (void)state;
  for (int i = 0; i < 2; i++) assert_int_equal(weir__agreement_create(comm, 2, &agreement[i]), WEIR_OK);
  for (int64_t round = 0; round < 100; round++) {
    int64_t        value[2] = {(rank + round) % size + 10 * round, -rank};
    const int64_t *result;
    for (int i = 0; i < 2; i++) assert_int_equal(weir__agreement_start(agreement[(i + rank) % 2], value), WEIR_OK);
    for (int i = 0; i < 2; i++) {
      bool done = false;
      while (!done) assert_int_equal(weir__agreement_test(agreement[i], &done, &result), WEIR_OK);
      assert_false(weir__agreement_running(agreement[i]));
      assert_int_equal(result[0], 10 * round);
      assert_int_equal(result[1], 1 - size);
    }
  }
  for (int i = 0; i < 2; i++) weir__agreement_destroy(&agreement[i]);
}

/* Every process tells all others; everybody hears each once. */
static void notices(void **state) {
  int64_t heard = 0, sum = 0, words[WEIR__NOTICE_WORDS] = {7, rank, -1, 1};
  bool    some;
  (void)state;
  assert_int_equal(weir__comm_notice_send(comm, words), WEIR_OK);
  while (heard < size - 1) {
    assert_int_equal(weir__comm_notice_receive(comm, words, &some), WEIR_OK);
    if (!some) continue;
    assert_int_equal(words[0], 7);
    assert_int_equal(words[3], 1);
    sum += words[1];
    heard++;
  }
  assert_int_equal(sum, (int64_t)size * (size - 1) / 2 - rank);
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
  assert_int_equal(weir__comm_notice_receive(comm, words, &some), WEIR_OK);
  assert_false(some);
}

static void node(void **state) {
  int64_t place = weir__comm_node_rank(comm);
  (void)state;
  assert_int_equal(weir__comm_node_size(comm), size); /* tests run on one machine */
  weir__comm_mate *mate;
  assert_int_equal(weir__comm_mates(comm, (int64_t[]){100 + rank, -rank}, &mate), WEIR_OK);
  for (int i = 0; i < size; i++) {
    assert_int_equal(mate[i].rank, i);
    assert_int_equal(mate[i].word[0], 100 + i);
    assert_int_equal(mate[i].word[1], -i);
  }
  weir__free(mate);
  assert_int_equal(weir__comm_sum(comm, &place, 1), WEIR_OK);
  assert_int_equal(place, size * (size - 1) / 2);
  weir__comm *duplicate;
  assert_int_equal(weir__comm_duplicate(comm, &duplicate), WEIR_OK);
  assert_int_equal(weir__comm_node_rank(duplicate), weir__comm_node_rank(comm));
  assert_int_equal(weir__comm_node_size(duplicate), size);
  assert_int_equal(weir__comm_mates(duplicate, (int64_t[]){rank, 0}, &mate), WEIR_OK);
  for (int i = 0; i < size; i++) assert_int_equal(mate[i].word[0], i);
  weir__free(mate);
  weir__comm_destroy(&duplicate);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sums_and_maxima),
                                     cmocka_unit_test(broadcasts),
                                     cmocka_unit_test(one_failure_for_all),
                                     cmocka_unit_test(exchanges),
                                     cmocka_unit_test(empty_letters),
                                     cmocka_unit_test(many_in_flight),
                                     cmocka_unit_test(too_many),
                                     cmocka_unit_test(minima),
                                     cmocka_unit_test(notices),
                                     cmocka_unit_test(node)};
  if (weir__comm_world(&comm) < 0) return 1;
  rank       = weir__comm_rank(comm);
  size       = weir__comm_size(comm);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
