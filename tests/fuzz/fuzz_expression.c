/* libFuzzer entry: any text through parser, builder and sorting. Built by clang only:
 *   clang -std=c17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -Itests
 * tests/fuzz/fuzz_expression.c \ src/core/[!t]*.c src/core/text.c src/field/?*.c src/graph/?*.c -lm -o fuzz_expression
 * && ./fuzz_expression -max_len=400 */
#ifdef __clang__
#include "graph/language.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir__graph           *graph = NULL;
  weir__edge             edge;
  char                  *text  = NULL;
  const weir__place      place = {"r.yaml", 1, 1};
  const weir__definition other = {"w2", "w1 + 1", place};
  if (weir__alloc_zeroed(size + 1, 0, &text) >= 0 && language_graph(&graph) >= 0) {
    if (size) memcpy(text, data, size);
    const weir__definition all[2] = {{"w1", text, place}, other};
    bool                   good   = weir__graph_expression(graph, text, place, &edge) >= 0;
    good                          = weir__graph_define_all(graph, all, 2) >= 0 && good;
    (void)good; /* a message is as good as a graph */
  }
  weir__graph_destroy(&graph);
  weir__free(text);
  return 0;
}
#else
typedef int fuzz_expression_needs_clang; /* a file of C must not be empty */
#endif
