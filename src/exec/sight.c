/* What others see of a worker while it runs: signs of life, its pulse, and what the owner's thread puts into the trace.
 */
#include "core/clock.h"
#include "exec/state.h"

void weir__worker_trace_message(weir__worker *w, weir__trace_kind kind, int message, const weir__step *s,
                                int64_t began) {
  if (!w->trace || !s) return;
  weir__trace_add(w->trace, w->options.threads, kind, (uint32_t)message, began, weir__clock_ns(), s->step);
}

void weir__worker_note_retired(weir__worker *w, const weir__step *s, int64_t now) {
  int owner       = w->options.threads;
  w->retired_step = s->step;
  w->retired_time = s->time;
  if (!w->trace) return;
  weir__trace_add(w->trace, owner, WEIR__TRACE_STEP, 0, s->arrived_ns, now, s->step);
  if (!w->intake) return;
  weir__trace_add(w->trace, owner, WEIR__TRACE_BLOCKED, 0, now, weir__intake_blocked_ns(w->intake), s->step);
  weir__trace_add(w->trace, owner, WEIR__TRACE_QUEUED, 0, now, weir__intake_queued(w->intake), s->step);
}

void weir__worker_beat(weir__worker *w, bool idle, int64_t *timeout) {
  enum { BEAT_NS = 1000000000, TURNS = 16 };
  if (!w->options.beat || (!idle && ++w->turns % TURNS)) return;
  int64_t now = weir__clock_ns();
  if (now >= w->beat_ns) {
    w->beat_ns = now + BEAT_NS;
    w->options.beat(w->options.beat_self);
  }
  if (timeout && *timeout > w->beat_ns - now) *timeout = w->beat_ns - now;
}

void weir__worker_pulse_get(const weir__worker *w, weir__worker_pulse *pulse) {
  *pulse = (weir__worker_pulse){.steps       = w->stats.steps,
                                .step        = w->retired_step,
                                .time        = w->retired_time,
                                .tasks       = w->stats.tasks,
                                .checkpoints = w->stats.checkpoints,
                                .threads     = w->options.threads + 1,
                                .stream      = "",
                                .latency_ns  = w->latency,
                                .seen        = w->latencies,
                                .latencies   = WEIR__LATENCIES};
  if (!w->intake) return;
  pulse->stream             = weir__intake_stream(w->intake);
  pulse->processes          = weir__intake_channels(w->intake);
  pulse->queued             = weir__intake_queued(w->intake);
  pulse->blocked_ns         = weir__intake_blocked_ns(w->intake);
  weir__worker_stats counts = {0};
  weir__intake_counts(w->intake, &counts);
  pulse->dropped_steps = counts.dropped_steps;
  pulse->dropped       = counts.dropped;
  pulse->spilled       = counts.spilled;
}
