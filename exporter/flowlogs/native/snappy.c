/* Snappy's blocks: https://github.com/google/snappy/blob/main/format_description.txt */

#include "tokens.h"

/* Decompress data[0, size) into exactly `room` bytes; return whether it is a block of so many. */
int32_t flow_snappy(const uint8_t *data, int64_t size, uint8_t *out, int64_t room) {
    const uint8_t *at = data, *end = data + size;
    uint64_t said = 0;
    int64_t done = 0;
    for (int shift = 0;; shift += 7) {
        if (at == end || shift > 28) return 0;
        uint8_t byte = *at++;
        said |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) break;
    }
    if (said != (uint64_t)room) return 0;
    while (at < end) {
        uint8_t tag = *at++;
        int64_t length = (tag >> 2) + 1, back = 0;
        if ((tag & 3) == 0) {
            if (length > 60) {
                int64_t more = length - 60;
                if (more > end - at) return 0;
                length = 0;
                for (int64_t i = 0; i < more; i++) length |= (int64_t)at[i] << (8 * i);
                length++;
                at += more;
            }
            if (length > end - at || length > room - done) return 0;
            memcpy(out + done, at, (size_t)length);
            at += length;
            done += length;
            continue;
        }
        int64_t bytes = (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4;
        if (bytes > end - at) return 0;
        for (int64_t i = 0; i < bytes; i++) back |= (int64_t)at[i] << (8 * i);
        at += bytes;
        if (bytes == 1) {
            length = ((tag >> 2) & 7) + 4;
            back |= (int64_t)(tag >> 5) << 8;
        }
        if (!back || back > done || length > room - done) return 0;
        if (back >= length) {
            memcpy(out + done, out + done - back, (size_t)length);
            done += length;
        } else {
            /* What is copied goes on with what was just written. */
            for (; length; length--, done++) out[done] = out[done - back];
        }
    }
    return done == room;
}
