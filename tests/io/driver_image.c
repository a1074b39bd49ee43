/* Reads and writes images for the Python test:
 *
 *   driver_image read OUT FILE...              a line for each page, its pixels behind each other in OUT
 *   driver_image raw OUT FILE OFFSET HEIGHT WIDTH STRIDE FRAME DTYPE BIG   the same of a file without a header
 *   driver_image write FILE DTYPE HEIGHT WIDTH PIXELS                      the format by the name of FILE
 *   driver_image time FILE COUNT               seconds to open, and to read the first page */
#include "io/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *allocate(size_t nbytes) {
  void *memory = malloc(nbytes ? nbytes : 1);
  if (!memory) exit(2);
  return memory;
}

static weir_status read_page(weir__image *image, int64_t page, FILE *out) {
  weir__image_info info;
  WEIR_TRY(weir__image_info_get(image, page, &info));
  size_t      nbytes = (size_t)(info.height * info.width) * weir_dtype_size(info.dtype);
  void       *pixels = allocate(nbytes);
  weir_status status = weir__image_read(image, page, pixels);
  if (status >= 0) {
    printf("%s %lld %lld %lld %s %d %d %d %.17g\n", info.format, (long long)info.height, (long long)info.width,
           (long long)info.pages, weir_dtype_name(info.dtype), info.bits, info.colour, info.has_time, info.time);
    fwrite(pixels, 1, nbytes, out);
  }
  free(pixels);
  return status;
}

static void read_file(const char *path, const weir__image_raw *raw, FILE *out) {
  weir__image     *image = NULL;
  weir__image_info info;
  weir_status      status = weir__image_open(path, raw, &image);
  if (status >= 0) status = weir__image_info_get(image, 0, &info);
  for (int64_t p = 0; status >= 0 && p < info.pages; p++) status = read_page(image, p, out);
  if (status < 0) printf("error %d %s\n", status, weir_error_last());
  weir__image_close(&image);
}

static int write_file(char **a) {
  weir_dtype         dtype;
  weir__image_format format;
  if (!weir_dtype_parse(a[1], &dtype) || !weir__image_format_of(a[0], &format)) return 2;
  int64_t height = atoll(a[2]), width = atoll(a[3]);
  size_t  nbytes = (size_t)(height * width) * weir_dtype_size(dtype);
  void   *pixels = allocate(nbytes);
  FILE   *file   = fopen(a[4], "rb");
  if (!file || fread(pixels, 1, nbytes, file) != nbytes) return 2;
  fclose(file);
  weir_status status = weir__image_write(a[0], format, dtype, height, width, pixels);
  if (status < 0) printf("error %d %s\n", status, weir_error_last());
  free(pixels);
  return 0;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int measure(const char *path, int count) {
  weir__image     *image = NULL;
  weir__image_info info;
  double           opened = 0, read = 0;
  void            *pixels = NULL;
  for (int i = 0; i < count; i++) {
    double start = now();
    if (weir__image_open(path, NULL, &image) < 0 || weir__image_info_get(image, 0, &info) < 0) return 1;
    double middle = now();
    if (!pixels) pixels = allocate((size_t)(info.height * info.width) * 4);
    if (weir__image_read(image, 0, pixels) < 0) return 1;
    if (i) opened += middle - start, read += now() - middle; /* the first pass brings pages in */
    weir__image_close(&image);
  }
  free(pixels);
  printf("open %.3g read %.3g\n", opened / (count - 1), read / (count - 1));
  return 0;
}

int main(int count, char **a) {
  if (count == 7 && !strcmp(a[1], "write")) return write_file(a + 2);
  if (count == 4 && !strcmp(a[1], "time")) return measure(a[2], atoi(a[3]));
  if (count < 4) return 2;
  FILE *out = fopen(a[2], "wb");
  if (!out) return 2;
  if (!strcmp(a[1], "raw") && count == 11) {
    weir__image_raw raw = {.offset     = atoll(a[4]),
                           .height     = atoll(a[5]),
                           .width      = atoll(a[6]),
                           .stride     = atoll(a[7]),
                           .frame      = atoll(a[8]),
                           .big_endian = atoi(a[10]) != 0};
    if (!weir_dtype_parse(a[9], &raw.dtype)) return 2;
    read_file(a[3], &raw, out);
  } else
    for (int i = 3; i < count; i++) read_file(a[i], NULL, out);
  return fclose(out) ? 2 : 0;
}
