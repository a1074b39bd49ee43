/* Images that are watched for while a camera writes them: which steps there are is decided by worker 0, and told to the
 * others with each step.
 *
 * An image is whole when its file was closed after writing, or renamed into place; where nobody tells of that (another
 * host writes; it was there before the watch), when it has not changed for `settle` and can be read. A step comes when
 * its images are whole, in the order of the numbers. When a later step is whole for longer than `gap`, images that are
 * still not there count as missing, for good, also when they come later. The end comes by a file of a given name, after
 * a time without images, after a number of steps, or by a signal: steps that are whole are still taken then.
 *
 * RUN/images.log says what was decided, before anybody acts on it: a run that goes on decides the same. */
#ifndef WEIR_RUN_ONLINE_H
#define WEIR_RUN_ONLINE_H
#include "io/series.h"
#include "run/files.h"

typedef struct weir__online weir__online;

/* Collective. Wait until the first step is whole, or take up what images.log says. WEIR_ERR_INPUT: images that form no
 * series; WEIR_ERR_GONE: the end came before the first step. */
weir_status weir__online_open(const weir__recipe_images *recipe, const weir__files_terms *terms, weir__online **online);
void        weir__online_close(weir__online **online);
/* For weir check: is there such a folder? */
weir_status weir__online_check(const weir__recipe_images *recipe);
/* How the end comes, for people. */
void weir__online_ends(const weir__recipe_watch *watch, weir__text *text);

const weir__series *weir__online_series(const weir__online *online);
/* An image that can be opened; the size of all is learned from it. */
const char *weir__online_sample(const weir__online *online);
/* On worker 0: is there a step after so many? WEIR_ERR_TIMEOUT, without a message: not yet; WEIR_END: no. */
weir_status weir__online_more(weir__online *online, int64_t ordinal);
int64_t     weir__online_steps(weir__online *online);
void        weir__online_attach(weir__online *online, void (*wake)(void *who), void *who);
/* What worker 0 tells of a step, and others heed before they read. */
uint64_t weir__online_about(weir__online *online, int64_t ordinal);
void     weir__online_heed(weir__online *online, int64_t ordinal, uint64_t about);
/* Image `k` of a step that was decided. Thread-safe. */
void weir__online_image(weir__online *online, int64_t ordinal, int k, weir__series_image *image);
/* Why an image counts as missing. */
void weir__online_why(weir__online *online, const weir__series_image *image, weir__text *text);
/* Steps that have come; clock when that step came, 0: unknown. */
void weir__online_pulse(weir__online *online, int64_t ordinal, int64_t *steps, int64_t *came_ns);
/* At the end, on worker 0: WEIR_ERR_GONE: the images came otherwise than a series does that is there from the start. */
weir_status weir__online_verdict(weir__online *online);
#endif
