/* JPEG through libjpeg. Gray is what libjpeg makes of it: for the usual YCbCr that is Y, the very luminance of Rec.
 * 601, as it was stored. The frame header is found by hand, so that opening a file costs little.
 *
 * libjpeg's errors leave by longjmp out of decode(), which owns nothing. */
#include "io/image_parts.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

/* A block of 64 pixels takes at least one bit with Huffman codes (a progressive scan of DC values, the shortest code),
 * so that a byte stands for at most 512 pixels. Arithmetic codes have no such bound and are refused. */
enum { PIXELS_PER_BYTE = 512, SCANS_MAX = 1000 };

typedef struct jpeg_decoder {
  struct jpeg_error_mgr         errors; /* first: libjpeg hands it back */
  struct jpeg_source_mgr        source;
  struct jpeg_progress_mgr      progress;
  struct jpeg_decompress_struct jpeg;
  jmp_buf                       leave;
  weir__image                  *image;
  weir__image_stream           *stream;
  char                          why[JMSG_LENGTH_MAX];
} jpeg_decoder;

static bool matches(const uint8_t *head, size_t nbytes) {
  return nbytes >= 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff;
}

static weir_status jpeg_open(weir__image *image) {
  uint8_t           m[10];
  weir__image_info *info = &image->info;
  for (int64_t at = 2;;) {
    WEIR_TRY(weir__image_pread(image, at, m, 4));
    if (m[0] != 0xff)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: JPEG: no marker at byte %lld", image->path, (long long)at);
    if (m[1] == 0xff || m[1] == 0x01 || (m[1] >= 0xd0 && m[1] <= 0xd7)) { /* fill bytes and markers without length */
      at += m[1] == 0xff ? 1 : 2;
      continue;
    }
    bool frame = m[1] >= 0xc0 && m[1] <= 0xcf && m[1] != 0xc4 && m[1] != 0xc8 && m[1] != 0xcc;
    if (frame) {
      WEIR_TRY(weir__image_pread(image, at, m, sizeof m));
      break;
    }
    uint32_t length = weir__image_be16(m + 2);
    if (m[1] == 0xd9 || m[1] == 0xda || length < 2)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: JPEG: no frame header before byte %lld", image->path,
                       (long long)at);
    at += 2 + length;
  }
  if (m[1] > 0xc2 || m[4] != 8)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: a JPEG of %d bits, process %d; expected 8 bits, baseline or progressive "
                     "with Huffman codes",
                     image->path, m[4], m[1] - 0xc0);
  info->height = weir__image_be16(m + 5);
  info->width  = weir__image_be16(m + 7);
  info->dtype  = WEIR_U8;
  info->bits   = 8;
  info->colour = m[9] > 1;
  if (m[9] != 1 && m[9] != 3)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a JPEG of %d components; expected 1 or 3", image->path, m[9]);
  return weir__image_size_check(image, info, 8, PIXELS_PER_BYTE);
}

static void keep_message(j_common_ptr jpeg) {
  jpeg_decoder *decoder = (jpeg_decoder *)(void *)jpeg->err;
  if (!*decoder->why) jpeg->err->format_message(jpeg, decoder->why);
}

static void on_error(j_common_ptr jpeg) {
  jpeg_decoder *decoder = (jpeg_decoder *)(void *)jpeg->err;
  keep_message(jpeg);
  longjmp(decoder->leave, 1);
}

/* Where the pixels are not those that were written libjpeg only warns; here that is an error. */
static void on_message(j_common_ptr jpeg, int level) {
  int code = jpeg->err->msg_code;
  if (level >= 0 || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_TOO_MUCH_DATA) return;
  on_error(jpeg);
}

static void no_output(j_common_ptr jpeg) { (void)jpeg; }

static void stop_bombs(j_common_ptr jpeg) { /* every scan, however short, costs a pass over the whole image */
  const struct jpeg_decompress_struct *decompress = (const struct jpeg_decompress_struct *)(const void *)jpeg;
  jpeg_decoder                        *decoder    = (jpeg_decoder *)(void *)jpeg->err;
  if (decompress->input_scan_number <= SCANS_MAX) return;
  snprintf(decoder->why, sizeof decoder->why, "more than %d scans", SCANS_MAX);
  longjmp(decoder->leave, 1);
}

static void source_nothing(j_decompress_ptr jpeg) { (void)jpeg; }

static boolean source_fill(j_decompress_ptr jpeg) {
  jpeg_decoder *decoder = (jpeg_decoder *)(void *)jpeg->err;
  if (!weir__image_stream_fill(decoder->stream)) {
    snprintf(decoder->why, sizeof decoder->why, "the file is cut short");
    longjmp(decoder->leave, 1);
  }
  decoder->source.next_input_byte = decoder->stream->buffer;
  decoder->source.bytes_in_buffer = decoder->stream->filled;
  return TRUE;
}

static void source_skip(j_decompress_ptr jpeg, long nbytes) {
  jpeg_decoder *decoder = (jpeg_decoder *)(void *)jpeg->err;
  while (nbytes > (long)decoder->source.bytes_in_buffer) {
    nbytes -= (long)decoder->source.bytes_in_buffer;
    source_fill(jpeg);
  }
  if (nbytes <= 0) return;
  decoder->source.next_input_byte += nbytes;
  decoder->source.bytes_in_buffer -= (size_t)nbytes;
}

static weir_status decode(jpeg_decoder *decoder, const weir__image_info *info, uint8_t *out) {
  j_decompress_ptr jpeg = &decoder->jpeg;
  if (setjmp(decoder->leave)) {
    if (decoder->stream->failed < 0) return decoder->stream->failed;
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged or cut short: JPEG: %s", decoder->image->path, decoder->why);
  }
  jpeg_create_decompress(jpeg);
  jpeg->src      = &decoder->source;
  jpeg->progress = &decoder->progress;
  jpeg_read_header(jpeg, TRUE);
  if (jpeg->image_width != info->width || jpeg->image_height != info->height || jpeg->arith_code) {
    snprintf(decoder->why, sizeof decoder->why, "the header changed after it was opened");
    longjmp(decoder->leave, 1);
  }
  jpeg->out_color_space = JCS_GRAYSCALE;
  jpeg->dct_method      = JDCT_ISLOW;
  jpeg_start_decompress(jpeg);
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = out + (size_t)jpeg->output_scanline * jpeg->output_width;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
  return WEIR_OK;
}

static weir_status jpeg_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  jpeg_decoder *decoder = NULL;
  weir_status   status  = WEIR_OK;
  (void)page;
  WEIR_TRY(weir__alloc_zeroed(sizeof *decoder, 0, &decoder));
  WEIR_TRY_GOTO(out, weir__image_stream_open(image, 0, &decoder->stream));
  decoder->image                     = image;
  decoder->jpeg.err                  = jpeg_std_error(&decoder->errors);
  decoder->errors.error_exit         = on_error;
  decoder->errors.emit_message       = on_message;
  decoder->errors.output_message     = no_output;
  decoder->progress.progress_monitor = stop_bombs;
  decoder->source                    = (struct jpeg_source_mgr){.init_source       = source_nothing,
                                                                .fill_input_buffer = source_fill,
                                                                .skip_input_data   = source_skip,
                                                                .resync_to_restart = jpeg_resync_to_restart,
                                                                .term_source       = source_nothing};
  status                             = decode(decoder, info, out);
  jpeg_destroy_decompress(&decoder->jpeg);
out:
  weir__free(decoder->stream);
  weir__free(decoder);
  return status;
}

const weir__image_kind weir__image_jpeg = {.format = "JPEG", .matches = matches, .open = jpeg_open, .read = jpeg_read};
