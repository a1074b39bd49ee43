/* Two colour maps, computed in Oklab, in which equal distances look alike (B. Ottosson 2020, "A perceptual color space
 * for image processing", https://bottosson.github.io/posts/oklab/).
 *
 * sequential: lightness rises evenly from dark violet over blue, teal and green to light yellow, so that it also reads
 * in grey. diverging: blue and red of equal lightness fall evenly away from a nearly white middle. */
#include "io/plot.h"
#include <math.h>

static double encode(double linear) { /* sRGB, IEC 61966-2-1 */
  if (linear <= 0.0031308) return 12.92 * linear;
  return 1.055 * pow(linear, 1 / 2.4) - 0.055;
}

/* Oklab lightness, chroma and hue (degrees) to linear sRGB; false outside what a screen shows. */
static bool to_linear(double lightness, double chroma, double hue, double rgb[3]) {
  double angle = hue * (3.14159265358979323846 / 180), a = chroma * cos(angle), b = chroma * sin(angle);
  double l = lightness + 0.3963377774 * a + 0.2158037573 * b;
  double m = lightness - 0.1055613458 * a - 0.0638541728 * b;
  double s = lightness - 0.0894841775 * a - 1.2914855480 * b;
  l *= l * l, m *= m * m, s *= s * s;
  rgb[0] = 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s;
  rgb[1] = -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s;
  rgb[2] = -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s;
  for (int i = 0; i < 3; i++)
    if (rgb[i] < 0 || rgb[i] > 1) return false;
  return true;
}

/* The colour of this lightness and hue with the wanted chroma, or the most that can be shown. */
static void colour(double lightness, double chroma, double hue, double rgb[3]) {
  enum { HALVINGS = 20 };
  double low = 0, high = chroma;
  if (!to_linear(lightness, chroma, hue, rgb)) {
    for (int i = 0; i < HALVINGS; i++) {
      double middle = 0.5 * (low + high);
      if (to_linear(lightness, middle, hue, rgb)) low = middle;
      else high = middle;
    }
    (void)to_linear(lightness, low, hue, rgb);
  }
  for (int i = 0; i < 3; i++) rgb[i] = encode(fmin(fmax(rgb[i], 0), 1));
}

static double clamp(double t) { return t > 0 ? (t < 1 ? t : 1) : 0; /* NaN is 0 */ }

/* Lightness 0.27 to 0.92, hue 302 to 105 degrees; the chroma stays inside what a screen shows for all of them, so that
 * nothing is cut off and the steps stay even. */
void weir__colour_sequential(double t, double rgb[3]) {
  t = clamp(t);
  colour(0.27 + 0.65 * t, 0.098 + 0.2 * (t - 0.46) * (t - 0.46), 302 - 197 * pow(t, 1.1), rgb);
}

void weir__colour_diverging(double t, double rgb[3]) {
  double s = 2 * clamp(t) - 1, d = fabs(s);
  colour(0.965 - 0.55 * pow(d, 1.1), 0.140 * pow(d, 0.7), s < 0 ? 256 : 29, rgb);
}
