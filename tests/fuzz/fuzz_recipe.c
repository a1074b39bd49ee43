/* A recipe of any bytes, for libFuzzer (clang):
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Isrc tests/fuzz/fuzz_recipe.c
 *     src/core/error.c src/core/memory.c src/core/text.c src/field/region.c src/field/view.c src/core/yaml.c
 *     src/run/recipe.c src/run/recipe_stream.c src/run/recipe_streams.c src/run/recipe_outputs.c src/run/schema.c -lyaml -lm -o fuzz_recipe */
#include "run/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir__recipe *recipe = NULL;
  if (weir__recipe_parse("fuzz.yaml", (const char *)data, size, &recipe) >= 0) weir__recipe_destroy(&recipe);
  return 0;
}
