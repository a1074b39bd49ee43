/* Which steps a store has no values of, and why: an attribute of the group, there only where any are missing.
 *
 *   "missing_steps": "[{\"from\": 5, \"to\": 8, \"count\": 4, \"why\": \"no room\", \"index\": 4, \"levels\": 4}]"
 *
 * Steps 5 to 8, whose values are missing in 4 levels along time from the one with index 4 on. One level may stand for
 * many steps, of which only the first and the last number are known. Levels that follow each other and are missing for
 * one reason are one entry, but for such a level, so that an entry can be cut anywhere. The list is bounded: its last
 * entry then goes on to the last missing level, whatever lies between, and only counts. */
#include "io/zarr_parts.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { GAPS_MAX = 1000 };

weir_status weir__zarr_gaps_add(weir__zarr *zarr, const weir__zarr_level *level) {
  weir__zarr_gap *last = zarr->gaps ? &zarr->gap[zarr->gaps - 1] : NULL;
  if (!level->why) return WEIR_OK;
  bool same    = last && !strcmp(last->why, level->why);
  bool follows = same && !level->more && last->count == last->levels && last->index + last->levels == level->index;
  zarr->stale  = true;
  if (!follows && zarr->gaps < GAPS_MAX) {
    WEIR_TRY(weir__grow(&zarr->gap, zarr->gaps + 1, &zarr->gap_capacity, sizeof *zarr->gap));
    last  = &zarr->gap[zarr->gaps++];
    *last = (weir__zarr_gap){.from = level->step, .index = level->index};
    snprintf(last->why, sizeof last->why, "%s", level->why);
  } else if (!same) {
    snprintf(last->why, sizeof last->why, "several reasons");
  }
  last->to = level->more ? level->last : level->step;
  last->count += level->more + 1;
  last->levels = level->index + 1 - last->index;
  return WEIR_OK;
}

void weir__zarr_gaps_cut(weir__zarr *zarr, int64_t levels, int64_t step) {
  zarr->stale  = true;
  zarr->listed = 0;
  weir__text_clear(&zarr->list);
  while (zarr->gaps && zarr->gap[zarr->gaps - 1].index >= levels) zarr->gaps--;
  if (!zarr->gaps) return;
  weir__zarr_gap *last = &zarr->gap[zarr->gaps - 1];
  if (last->index + last->levels <= levels) return;
  last->levels = levels - last->index;
  last->to     = step;
  if (last->count > last->levels) last->count = last->levels; /* of the entry that ends a full list: at most */
}

/* Escaped as in a JSON text; there is nothing to escape in `why`. */
static void add_gap(weir__text *text, const weir__zarr_gap *g) {
  weir__text_add(
      text,
      "{\\\"from\\\": %lld, \\\"to\\\": %lld, \\\"count\\\": %lld, \\\"why\\\": \\\"%s\\\", \\\"index\\\": %lld, "
      "\\\"levels\\\": %lld}",
      (long long)g->from, (long long)g->to, (long long)g->count, g->why, (long long)g->index, (long long)g->levels);
}

void weir__zarr_gaps_text(weir__zarr *zarr, weir__text *text) {
  size_t complete = zarr->gaps - 1;
  if (zarr->listed > complete || zarr->list.failed) { /* some were taken back */
    weir__text_clear(&zarr->list);
    zarr->listed = 0;
  }
  for (; zarr->listed < complete; zarr->listed++) {
    add_gap(&zarr->list, &zarr->gap[zarr->listed]);
    weir__text_add(&zarr->list, ", ");
  }
  weir__text_add(text, "\"[");
  weir__text_add_bytes(text, zarr->list.data, zarr->list.length);
  add_gap(text, &zarr->gap[complete]);
  weir__text_add(text, "]\"");
  text->failed |= zarr->list.failed;
}

static bool read_gap(json_t *item, weir__zarr_gap *gap) {
  json_int_t  from, to, count, index, levels;
  const char *why;
  if (json_unpack(item, "{s:I, s:I, s:I, s:s, s:I, s:I}", "from", &from, "to", &to, "count", &count, "why", &why,
                  "index", &index, "levels", &levels))
    return false;
  *gap = (weir__zarr_gap){.from = from, .to = to, .count = count, .index = index, .levels = levels};
  return snprintf(gap->why, sizeof gap->why, "%s", why) < (int)sizeof gap->why && !strpbrk(why, "\"\\");
}

weir_status weir__zarr_gaps_read(weir__zarr *zarr, const char *text, const char *shown) {
  json_t     *list   = text ? json_loads(text, 0, NULL) : NULL;
  weir_status status = WEIR_OK;
  bool        valid  = json_is_array(list) && json_array_size(list) <= GAPS_MAX;
  zarr->gaps         = 0;
  if (valid)
    WEIR_TRY_GOTO(out, weir__grow(&zarr->gap, json_array_size(list) + 1, &zarr->gap_capacity, sizeof *zarr->gap));
  for (size_t i = 0; valid && i < json_array_size(list); i++) {
    weir__zarr_gap *gap = &zarr->gap[i];
    valid               = read_gap(json_array_get(list, i), gap) && gap->count > 0 && gap->levels > 0 &&
            gap->index >= (i ? gap[-1].index + gap[-1].levels : 0);
    if (valid) zarr->gaps++;
  }
  if (!valid) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: missing_steps: not a list of steps as weir writes it", shown);
out:
  json_decref(list);
  return status;
}
