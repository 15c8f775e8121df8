/* From a raw frame to the graph's input in one pass: region, unpacking, demosaic, change of size, bits, layout, half precision.

   One thread makes one pixel of the input, and the grid's third axis is the view: each has a Preparation, and a slice of the input.
   It follows preprocess.py step by step (OpenCV's demosaic, halvings, whole step, then a table of weights for the rest) and rounds
   where that rounds, so that both give the same grey levels but for ties.

   Plain C, so that the same lines are compiled for the CPU, where they are tested against OpenCV. */

#ifdef __cplusplus
extern "C" {
#endif

enum { BYTES, WORDS, LSB, GIGE };           /* layouts of pixels.py */
enum { U8_NHWC, HALF_NCHW, FLOAT_NCHW };    /* what is written */
enum { MONO = -1 };                         /* no mosaic */

typedef struct {
    int layout, bits, channels, red;        /* of the frame; red: x + 2 y of the red pixel in the first 2 x 2, or MONO */
    int line_bytes, width, height;          /* of the frame */
    int left, top;                          /* the region's corner */
    int halvings, across, down;             /* then averages of across x down pixels; then the tables */
    int rest_width, rest_height;            /* what is left for the tables */
    int taps_x, taps_y;                     /* of the tables; 0: nothing is left to do */
    int filled_width, filled_height;        /* of the input; beyond, the edge repeats */
    int at_first_x, at_weights_x, at_first_y, at_weights_y;     /* where this view's tables begin among those of all */
    int out_width, out_height, out_channels, out_kind;
} Preparation;

typedef struct {
    const unsigned char *pixels;
    const Preparation *how;
    int grey;                               /* colours become luminance before anything is averaged */
} Source;

__device__ int clamped(int value, int least, int most) {
    return value < least ? least : value > most ? most : value;
}

/* The sample of channel c at (x, y) of the frame. */
__device__ unsigned sample(const Source *s, int x, int y, int c) {
    const Preparation *p = s->how;
    const unsigned char *line = s->pixels + (long)y * p->line_bytes;
    if (p->layout == BYTES)
        return line[x * p->channels + c];
    if (p->layout == WORDS) {
        const unsigned char *word = line + 2 * (x * p->channels + c);
        return word[0] | (unsigned)word[1] << 8;
    }
    if (p->layout == GIGE) {
        const unsigned char *pair = line + x / 2 * 3;
        return x & 1 ? (unsigned)pair[2] << 4 | pair[1] >> 4 : (unsigned)pair[0] << 4 | (pair[1] & 15);
    }
    int bit = x % 4 * p->bits;              /* groups of four: 5 bytes of 10 bits, twice 3 of 12 */
    const unsigned char *byte = line + x / 4 * (p->bits / 2) + bit / 8;
    return (byte[0] | (unsigned)byte[1] << 8) >> bit % 8 & ((1u << p->bits) - 1);
}

__device__ unsigned cross(const Source *s, int x, int y) {
    return sample(s, x - 1, y, 0) + sample(s, x + 1, y, 0) + sample(s, x, y - 1, 0) + sample(s, x, y + 1, 0);
}

__device__ unsigned diagonal(const Source *s, int x, int y) {
    return sample(s, x - 1, y - 1, 0) + sample(s, x + 1, y - 1, 0) + sample(s, x - 1, y + 1, 0) + sample(s, x + 1, y + 1, 0);
}

/* Bilinear demosaic as OpenCV does it: luminance (BT.601 in 14 bits) where grey, else red, green or blue. The border repeats. */
__device__ unsigned demosaiced(const Source *s, int x, int y, int c) {
    const Preparation *p = s->how;
    x = clamped(x, 1, p->width - 2);
    y = clamped(y, 1, p->height - 2);
    int red_column = (x & 1) == (p->red & 1), red_line = (y & 1) == (p->red >> 1);
    unsigned here = sample(s, x, y, 0);
    if (red_column == red_line) {           /* at red or blue */
        unsigned green = cross(s, x, y), other = diagonal(s, x, y);
        if (s->grey)
            return (other * (red_line ? 1868u : 4899u) + green * 9617u + here * 4u * (red_line ? 4899u : 1868u) + 32768u) >> 16;
        if (c == 1)
            return (green + 2) >> 2;
        return c == (red_line ? 0 : 2) ? here : (other + 2) >> 2;
    }
    unsigned beside = sample(s, x - 1, y, 0) + sample(s, x + 1, y, 0);
    unsigned above = sample(s, x, y - 1, 0) + sample(s, x, y + 1, 0);
    unsigned red = red_line ? beside : above, blue = red_line ? above : beside;
    if (s->grey)
        return (red * 4899u + blue * 1868u + here * 2u * 9617u + 16384u) >> 15;
    return c == 1 ? here : ((c == 0 ? red : blue) + 1) >> 1;
}

__device__ unsigned colour(const Source *s, int x, int y, int c) {
    const Preparation *p = s->how;
    if (p->red != MONO)
        return demosaiced(s, x, y, c);
    if (p->channels == 1)
        return sample(s, x, y, 0);
    if (s->grey)
        return (sample(s, x, y, 0) * 9798u + sample(s, x, y, 1) * 19235u + sample(s, x, y, 2) * 3735u + 16384u) >> 15;
    return sample(s, x, y, c);
}

/* The square of 2^halvings pixels at (x, y), halved again and again, rounded each time: four results of a level make one of the next. */
__device__ unsigned halved(const Source *s, int x, int y, int c) {
    int levels = s->how->halvings;
    unsigned sums[12] = {0};
    for (unsigned n = 0; n < 1u << 2 * levels; n++) {
        int dx = 0, dy = 0, level = 0;
        for (int bit = 0; bit < levels; bit++) {
            dx |= (n >> 2 * bit & 1) << bit;
            dy |= (n >> (2 * bit + 1) & 1) << bit;
        }
        sums[0] += colour(s, x + dx, y + dy, c);
        for (unsigned rest = n; level < levels && (rest & 3) == 3; rest >>= 2) {
            unsigned mean = (sums[level] + 2) >> 2;
            sums[level++] = 0;
            sums[level] += mean;
        }
    }
    return sums[levels];
}

/* The pixel (x, y) of what is left for the tables. */
__device__ float averaged(const Source *s, int x, int y, int c) {
    const Preparation *p = s->how;
    int side = 1 << p->halvings;
    x = p->left + clamped(x, 0, p->rest_width - 1) * side * p->across;
    y = p->top + clamped(y, 0, p->rest_height - 1) * side * p->down;
    unsigned long sum = 0;
    for (int row = 0; row < p->down; row++)
        for (int column = 0; column < p->across; column++)
            sum += halved(s, x + column * side, y + row * side, c);
    int cells = p->across * p->down;
    return cells == 1 ? (float)sum : rintf((float)sum * (1.0f / (float)cells));
}

__device__ unsigned short to_half(float value) {
    union { float f; unsigned u; } bits;
    bits.f = value;
    unsigned sign = bits.u >> 16 & 0x8000u, size = bits.u & 0x7fffffffu;
    if (size > 0x7f800000u)
        return (unsigned short)(sign | 0x7e00u);            /* no number */
    if (size >= 0x477ff000u)
        return (unsigned short)(sign | 0x7c00u);            /* rounds beyond 65504 */
    if (size < 0x38800000u) {                               /* below the smallest normal: steps of 2^-24 */
        bits.u = size;
        return (unsigned short)(sign | (unsigned)rintf(bits.f * 16777216.0f));
    }
    unsigned rest = size & 0x1fffu, half = (size >> 13) - 0x1c000u;
    half += rest > 0x1000u || (rest == 0x1000u && (half & 1));
    return (unsigned short)(sign | half);
}

/* how, receipts, out: one for each view. affine: scale of each output channel, then offset of each; used for half and float alone.
   receipts: numbers that come back with every bit turned, by the thread of a view's last pixel: the sign that this run has written. */
__global__ void prepare(const unsigned char *frame, const Preparation *how, const int *first_x, const float *weights_x,
                        const int *first_y, const float *weights_y, const float *affine, unsigned *receipts, void *out) {
    int view = (int)blockIdx.z;
    const Preparation p = how[view];
    first_x += p.at_first_x;
    weights_x += p.at_weights_x;
    first_y += p.at_first_y;
    weights_y += p.at_weights_y;
    int x = (int)(blockIdx.x * blockDim.x + threadIdx.x), y = (int)(blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= p.out_width || y >= p.out_height)
        return;
    int from_x = clamped(x, 0, p.filled_width - 1), from_y = clamped(y, 0, p.filled_height - 1);
    int coloured = p.out_channels == 3 && (p.channels == 3 || p.red != MONO);
    Source source = {frame, &p, p.out_channels == 1};
    float most = p.layout == BYTES ? 255.0f : 65535.0f, value = 0;
    for (int c = 0; c < p.out_channels; c++) {
        if (c == 0 || coloured) {
            value = 0;
            for (int row = 0; row < p.taps_y; row++) {
                float weight_y = weights_y[from_y * p.taps_y + row], line = 0;
                if (weight_y == 0)
                    continue;
                for (int column = 0; column < p.taps_x; column++) {
                    float weight_x = weights_x[from_x * p.taps_x + column];
                    if (weight_x != 0)
                        line += weight_x * averaged(&source, first_x[from_x] + column, first_y[from_y] + row, c);
                }
                value += weight_y * line;
            }
            value = fminf(rintf(value), most);
            if (p.bits > 8)
                value = fminf(rintf(value / (float)(1 << (p.bits - 8))), 255.0f);
        }
        long plane = (long)p.out_width * p.out_height, pixel = (long)y * p.out_width + x;
        long slice = view * plane * p.out_channels, planar = slice + c * plane + pixel;
        if (p.out_kind == U8_NHWC)
            ((unsigned char *)out)[slice + pixel * p.out_channels + c] = (unsigned char)value;
        else if (p.out_kind == HALF_NCHW)
            ((unsigned short *)out)[planar] = to_half(value * affine[c] + affine[p.out_channels + c]);
        else
            ((float *)out)[planar] = value * affine[c] + affine[p.out_channels + c];
    }
    if (x == p.out_width - 1 && y == p.out_height - 1)
        receipts[view] = ~receipts[view];
}

#ifdef __cplusplus
}
#endif
