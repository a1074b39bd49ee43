/* An image of any bytes, for libFuzzer (clang):
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Isrc tests/fuzz/fuzz_image.c
 *     src/core/error.c src/core/memory.c src/core/text.c src/field/view.c src/field/region.c src/io/image*.c
 *     -ltiff -lpng -ljpeg -lm -o fuzz_image */
#include "io/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { ROOM = 1 << 24, PAGES = 8 };
  char             path[64];
  weir__image     *image = NULL;
  weir__image_info info;
  int              fd = memfd_create("image", 0);
  if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (weir__image_open(path, NULL, &image) >= 0)
    for (int64_t p = 0; p < PAGES; p++) {
      if (weir__image_info_get(image, p, &info) < 0) break;
      size_t nbytes = (size_t)(info.height * info.width) * weir_dtype_size(info.dtype);
      void  *pixels = nbytes <= ROOM ? malloc(nbytes) : NULL;
      if (pixels && weir__image_read(image, p, pixels) < 0) p = PAGES;
      free(pixels);
    }
  weir__image_close(&image);
  close(fd);
  return 0;
}
