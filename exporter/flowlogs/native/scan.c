/* Flow-log lines sorted and read in one pass: what columns.py decides of them, without NumPy.
 *
 * The text comes from others. Nothing outside data[0, size) is read and nothing beyond the room that
 * the caller says there is is written. Whatever is not plainly a line that AWS writes is "odd": the
 * caller reads it by itself, so being wrong about it can only cost time. There is no state but the
 * caller's, so that threads can read at once.
 */

#include "verdict.h"

#if defined(__SSE2__) && !defined(PLAIN)
#include <emmintrin.h>
#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
/* Instructions that most processors have since 2013; whether this one has is asked at run time. */
#define NEWER __attribute__((target("avx2,bmi,bmi2,popcnt")))
#ifndef WITHOUT_NEWEST
/* Those of servers since 2020. */
#define NEWEST __attribute__((target("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi2")))
#endif
#endif
#endif

/* Text is looked at by windows of whole lines; a line that is longer than one is odd. */
enum { MOST_FIELDS = 64, BLOCK = 64, BLOCKS = 128, WINDOW = BLOCKS * BLOCK };

/* Why a scan has ended: the text has, a record or an odd line has no room, or an odd line begins with
 * a small letter, as headers do. */
enum { DONE, FULL, ODD_FULL, LETTER };

/* Where the fields stand; -1 for what the layout lacks. */
typedef struct {
    int32_t fields;
    /* Columns of numbers, those that stand side by side as first and last. */
    int32_t runs;
    int32_t first[MOST_FIELDS], last[MOST_FIELDS];
    int32_t interface_id, action, start, end, log_status;
    int32_t packets, bytes, tcp_flags, source_port, target_port, protocol;
    /* The targets, then the sources. */
    int32_t ends[2 * MOST_ENDS];
} Layout;

/* What a scan adds to. `odd` has where lines begin that the caller has to read by itself, in pairs
 * with their length. `newest` is the latest end that is not after `latest`, in seconds. */
typedef struct {
    Ledger ledger;
    int64_t *odd;
    int64_t odd_room, odd_count;
    int64_t no_data, skip_data;
    int64_t latest, newest;
    int64_t why;
} Found;

/* What 64 bytes are, a bit for each: a space, a control character or not ASCII; one of these but no
 * space; none of these and no digit. */
typedef struct {
    uint64_t breaks, strange, others;
} Kinds;

INLINE Kinds kinds(const uint8_t *at) {
    Kinds found = {0, 0, 0};
#if defined(__SSE2__) && !defined(PLAIN)
    /* As signed bytes those that are not ASCII are negative, and behind 9 comes the overflow. */
    const __m128i bound = _mm_set1_epi8(' ' + 1), space = _mm_set1_epi8(' ');
    const __m128i shift = _mm_set1_epi8(127 - '9'), below_zero = _mm_set1_epi8(127 - 10);
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
        __m128i is_break = _mm_cmplt_epi8(bytes, bound);
        __m128i is_strange = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, space), is_break);
        __m128i is_digit = _mm_cmpgt_epi8(_mm_add_epi8(bytes, shift), below_zero);
        uint64_t breaks = (uint32_t)_mm_movemask_epi8(is_break);
        uint64_t strange = (uint32_t)_mm_movemask_epi8(is_strange);
        uint64_t either = (uint32_t)_mm_movemask_epi8(_mm_or_si128(is_break, is_digit));
        found.breaks |= breaks << (16 * i);
        found.strange |= strange << (16 * i);
        found.others |= either << (16 * i);
    }
    found.others = ~found.others;
#else
    /* Adding to the lower seven bits of each byte sets its highest one from some value on. */
    const uint64_t ones = 0x0101010101010101u, low = 0x7F * ones, gather = 0x0102040810204080u;
    for (int i = 0; i < 8; i++) {
        uint64_t word = load(at + 8 * i), lower = word & low;
        uint64_t is_break = ~(lower + (127 - ' ') * ones) | word;
        uint64_t no_space = (((word ^ (' ' * ones)) & low) + low) | word;
        uint64_t no_digit = ~(lower + (128 - '0') * ones) | (lower + (127 - '9') * ones) | word;
        uint64_t breaks = (is_break >> 7 & ones) * gather >> 56;
        uint64_t strange = ((is_break & no_space) >> 7 & ones) * gather >> 56;
        uint64_t others = ((~is_break & no_digit) >> 7 & ones) * gather >> 56;
        found.breaks |= breaks << (8 * i);
        found.strange |= strange << (8 * i);
        found.others |= others << (8 * i);
    }
#endif
    return found;
}

#ifdef NEWER
/* Inlined where the instructions are allowed, which an `always_inline` cannot know. */
NEWER static inline Kinds kinds_newer(const uint8_t *at) {
    const __m256i bound = _mm256_set1_epi8(' ' + 1), space = _mm256_set1_epi8(' ');
    const __m256i shift = _mm256_set1_epi8(127 - '9'), below_zero = _mm256_set1_epi8(127 - 10);
    Kinds found = {0, 0, 0};
    for (int i = 0; i < 2; i++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32 * i));
        __m256i is_break = _mm256_cmpgt_epi8(bound, bytes);
        __m256i is_strange = _mm256_andnot_si256(_mm256_cmpeq_epi8(bytes, space), is_break);
        __m256i is_digit = _mm256_cmpgt_epi8(_mm256_add_epi8(bytes, shift), below_zero);
        uint64_t breaks = (uint32_t)_mm256_movemask_epi8(is_break);
        uint64_t strange = (uint32_t)_mm256_movemask_epi8(is_strange);
        uint64_t either = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(is_break, is_digit));
        found.breaks |= breaks << (32 * i);
        found.strange |= strange << (32 * i);
        found.others |= either << (32 * i);
    }
    found.others = ~found.others;
    return found;
}
#endif

#ifdef NEWEST
NEWEST static inline Kinds kinds_newest(const uint8_t *at) {
    const __m512i bytes = _mm512_loadu_si512((const void *)at), space = _mm512_set1_epi8(' ');
    Kinds found;
    found.breaks = _mm512_cmplt_epi8_mask(bytes, _mm512_set1_epi8(' ' + 1));
    found.strange = found.breaks & _mm512_cmpneq_epi8_mask(bytes, space);
    __m512i digits = _mm512_sub_epi8(bytes, _mm512_set1_epi8('0'));
    found.others = ~(found.breaks | _mm512_cmplt_epu8_mask(digits, _mm512_set1_epi8(10)));
    return found;
}

/* As append does: the numbers 0 to 63, pressed together where there are bits. */
NEWEST static inline int32_t append_newest(uint16_t *list, int32_t count, uint64_t bits,
                                           int32_t block) {
    static const uint8_t numbers[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i all = _mm512_loadu_si512((const void *)numbers);
    const __m512i begin = _mm512_set1_epi16((short)block);
    int32_t number = (int32_t)ones(bits);
    __m512i pressed = _mm512_maskz_compress_epi8(bits, all);
    __m512i first = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(pressed));
    _mm512_storeu_si512((void *)(list + count), _mm512_add_epi16(first, begin));
    if (number > 32) {
        __m512i others = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(pressed, 1));
        _mm512_storeu_si512((void *)(list + count + 32), _mm512_add_epi16(others, begin));
    }
    return count + number;
}
#endif

/* What the processor knows. */
enum { BASELINE, WITH_NEWER, WITH_NEWEST };

INLINE Kinds kinds_of(const uint8_t *at, int knows) {
#ifdef NEWEST
    if (knows == WITH_NEWEST) return kinds_newest(at);
#endif
#ifdef NEWER
    if (knows == WITH_NEWER) return kinds_newer(at);
#endif
    (void)knows;
    return kinds(at);
}

/* A part of the text: where its breaks are and where those that are no spaces, each list with WINDOW
 * behind its last; whether two breaks are side by side; and the bytes that no number has. */
typedef struct {
    const uint8_t *at;
    int32_t size, breaks_count;
    bool adjacent;
    uint16_t breaks[WINDOW + BLOCK], strange[WINDOW + BLOCK];
    uint64_t others[BLOCKS + 1];
} Window;

/* Append the positions of a block's bits to a list that has room for 64. Most blocks have `usual`
 * ones at most: so many are written without a look at how many there are. */
INLINE int32_t append(uint16_t *list, int32_t count, uint64_t bits, int32_t block, int usual,
                      int knows) {
#ifdef NEWEST
    if (knows == WITH_NEWEST) return append_newest(list, count, bits, block);
#endif
    (void)knows;
#if defined(__GNUC__)
    int32_t after = count + __builtin_popcountll(bits);
    for (int i = 0; i < usual; i++) {
        list[count + i] = (uint16_t)(block + lowest(bits | (uint64_t)1 << 63));
        bits &= bits - 1;
    }
    count += usual;
    if (count >= after) return after;
#else
    (void)usual;
#endif
    while (bits) {
        list[count++] = (uint16_t)(block + lowest(bits));
        bits &= bits - 1;
    }
    return count;
}

INLINE void look(Window *window, const uint8_t *at, int64_t size, int knows) {
    int32_t breaks = 0, strange = 0, block = 0;
    uint64_t before = 1, adjacent = 0;
    window->at = at;
    window->size = (int32_t)(size < WINDOW ? size : WINDOW);
    for (; block < window->size; block += BLOCK) {
        Kinds found;
        if (window->size - block >= BLOCK) {
            found = kinds_of(at + block, knows);
        } else {
            uint8_t last[BLOCK];
            memset(last, '0', BLOCK);
            memcpy(last, at + block, (size_t)(window->size - block));
            found = kinds_of(last, knows);
        }
        adjacent |= found.breaks & (found.breaks << 1 | before);
        before = found.breaks >> 63;
        window->others[block / BLOCK] = found.others;
        breaks = append(window->breaks, breaks, found.breaks, block, 12, knows);
        strange = append(window->strange, strange, found.strange, block, 2, knows);
    }
    window->others[block / BLOCK] = 0;
    window->breaks[breaks] = window->strange[strange] = WINDOW;
    window->breaks_count = breaks;
    window->adjacent = adjacent != 0;
}

/* Return 64 bits of a list that has a word behind the one where they begin. */
INLINE uint64_t bits_from(const uint64_t *list, int32_t begin) {
    const uint64_t *word = list + begin / BLOCK;
    int shift = begin % BLOCK;
    return word[0] >> shift | word[1] << 1 << (63 - shift);
}

/* Return whether only digits and spaces are in a part of the window. */
INLINE bool only_digits(const Window *window, int32_t begin, int32_t end) {
    for (; end - begin >= BLOCK; begin += BLOCK)
        if (bits_from(window->others, begin)) return false;
    return !(bits_from(window->others, begin) & (((uint64_t)1 << (end - begin)) - 1));
}

/* Put zeros before a word's last `length` bytes, 1 to 8. */
INLINE uint64_t with_zeros(uint64_t word, int64_t length) {
    return word | (0x3030303030303030u & (((uint64_t)1 << (8 * (8 - length) & 63)) - 1));
}

INLINE int64_t eight_digits(uint64_t word) {
    const uint64_t pairs = 0x000000FF000000FFu;
    word -= 0x3030303030303030u;
    word = word * 10 + (word >> 8);
    uint64_t high = (word & pairs) * 0x000F424000000064u;
    uint64_t low = ((word >> 16) & pairs) * 0x0000271000000001u;
    return (int64_t)((high + low) >> 32);
}

/* Return the number that a token of digits is; -1 for `-`, -2 for more than 16 digits. */
INLINE int64_t number(Token token, const uint8_t *limit) {
    int64_t length = token.length;
    if (length == 1 && *token.at == '-') return -1;
    if (length > 16) return -2;
    if (length <= 8) return eight_digits(with_zeros(load_last(token.at, length, limit), length));
    int64_t above = length - 8;
    uint64_t head = with_zeros(load(token.at) << (8 * (8 - above)), above);
    return eight_digits(head) * 100000000 + eight_digits(load(token.at + above));
}

/* Fill the slots, all of them -1 before. */
void flow_fill(Tokens *tokens) {
    const uint8_t *limit = tokens->text + tokens->begins[tokens->number];
    for (int64_t i = 0; i < tokens->number; i++) {
        int64_t begin = tokens->begins[i];
        Token token = {tokens->text + begin, tokens->begins[i + 1] - begin};
        int64_t slot = slot_of(tokens, token, limit);
        while (tokens->slots[slot] >= 0) slot = (slot + 1) & tokens->mask;
        tokens->slots[slot] = (int32_t)i;
        tokens->taken[slot / 64] |= (uint64_t)1 << (slot % 64);
    }
}

/* A line of a window: token i ends at ends[i], and begins behind the one before it. */
typedef struct {
    const Window *window;
    const uint8_t *limit;
    int32_t begin, length;
    const uint16_t *ends;
} Line;

INLINE int32_t begin_of(const Line *line, int32_t column) {
    return column ? line->ends[column - 1] + 1 : line->begin;
}

INLINE Token token(const Line *line, int32_t column) {
    int32_t begin = begin_of(line, column);
    Token found = {line->window->at + begin, line->ends[column] - begin};
    return found;
}

INLINE int64_t number_at(const Line *line, int32_t column) {
    return column < 0 ? -1 : number(token(line, column), line->limit);
}

enum { ODD, NO_DATA, SKIP_DATA, ACCEPTED, REFUSED };

INLINE bool all_numbers(const Line *line, const Layout *layout) {
    bool good = true;
    for (int32_t i = 0; i < layout->runs; i++)
        good &= only_digits(line->window, begin_of(line, layout->first[i]),
                            line->ends[layout->last[i]]);
    for (int32_t i = 0; !good && i < layout->runs; i++)
        for (int32_t column = layout->first[i]; column <= layout->last[i]; column++) {
            Token found = token(line, column);
            if (!is_dash(found) && !only_digits(line->window, begin_of(line, column), line->ends[column]))
                return false;
        }
    return true;
}

/* Return what a line says, whose tokens are neither empty nor too few nor too many. */
INLINE int meaning(const Line *line, const Layout *layout) {
    if (!all_numbers(line, layout)) return ODD;
    Token interface_id = token(line, layout->interface_id);
    bool named = interface_id.length >= 4 && memcmp(interface_id.at, "eni-", 4) == 0;
    int gap = ODD;
    if (layout->log_status >= 0) {
        Token status = token(line, layout->log_status);
        if (is(status, "NODATA", 6))
            gap = NO_DATA;
        else if (is(status, "SKIPDATA", 8))
            gap = SKIP_DATA;
        else if (!is(status, "OK", 2))
            return ODD;
    } else if (is_dash(token(line, layout->action))) {
        gap = NO_DATA;
    }
    if (gap != ODD) return named || is_dash(interface_id) ? gap : ODD;
    if (!named || is_dash(token(line, layout->start)) || is_dash(token(line, layout->end)))
        return ODD;
    Token action = token(line, layout->action);
    return is(action, "ACCEPT", 6) ? ACCEPTED : is(action, "REJECT", 6) ? REFUSED : ODD;
}

/* Return the last address of one end: of the columns the last one that is not `-`. */
INLINE Token peer(const Line *line, const int32_t *columns) {
    Token last = {NULL, 0};
    for (int32_t i = 0; i < MOST_ENDS; i++) {
        if (columns[i] < 0) continue;
        Token found = token(line, columns[i]);
        if (!is_dash(found)) last = found;
    }
    return last;
}

/* Add a record. */
INLINE int add(const Line *line, const Layout *layout, const Tokens *interfaces,
               const Tokens *addresses, const Verdicts *verdicts, bool refused, int64_t end,
               Ledger *ledger) {
    /* Most records are nobody's: their slots are empty, all of which is one guess of the processor. */
    Token tokens[1 + 2 * MOST_ENDS];
    int64_t slots[1 + 2 * MOST_ENDS];
    tokens[0] = token(line, layout->interface_id);
    slots[0] = slot_of(interfaces, tokens[0], line->limit);
    uint64_t taken = interfaces->taken[slots[0] / 64] >> (slots[0] % 64);
    for (int32_t i = 1; i <= 2 * MOST_ENDS; i++) {
        int32_t column = layout->ends[i - 1];
        if (column < 0) continue;
        tokens[i] = token(line, column);
        slots[i] = slot_of(addresses, tokens[i], line->limit);
        taken |= addresses->taken[slots[i] / 64] >> (slots[i] % 64);
    }
    if (!(taken & 1)) {
        ledger->other++;
        return SETTLED;
    }
    Record record;
    record.own = find(interfaces, tokens[0], slots[0]);
    bool concerned = record.own >= 0;
    for (int32_t i = 0; i < 2 * MOST_ENDS; i++) {
        record.ends[i] = layout->ends[i] < 0 ? -1 : find(addresses, tokens[i + 1], slots[i + 1]);
        concerned |= record.ends[i] >= 0;
    }
    if (!concerned) {
        ledger->other++;
        return SETTLED;
    }
    record.rejected = refused;
    record.start = seconds(number_at(line, layout->start));
    record.end = end;
    record.packets = number_at(line, layout->packets);
    record.size = number_at(line, layout->bytes);
    record.flags = number_at(line, layout->tcp_flags);
    record.source_port = number_at(line, layout->source_port);
    record.target_port = number_at(line, layout->target_port);
    record.protocol = number_at(line, layout->protocol);
    record.peers[0] = peer(line, layout->ends + MOST_ENDS);
    record.peers[1] = peer(line, layout->ends);
    return settle(&record, verdicts, ledger);
}

/* Cut the line that ends at `end` where it may have breaks of any kind; return whether it has the
 * fields and no other breaks. */
INLINE bool cut(const Window *window, int32_t begin, int32_t end, int32_t fields, uint16_t *ends) {
    int32_t field = 0, from = begin;
    if (end > begin && window->at[end - 1] == '\r') end--;
    for (int32_t at = begin; at <= end; at++) {
        uint8_t byte = window->at[at];
        if (at < end && byte > ' ' && byte < 128) continue;
        if (at == from || field == fields || (at < end && byte != ' ')) return false;
        ends[field++] = (uint16_t)at;
        from = at + 1;
    }
    return field == fields;
}

/* Put a line aside that the caller has to read. */
INLINE int64_t leave(const Line *line, int64_t at, Found *found) {
    if (found->odd_count == found->odd_room) return ODD_FULL;
    found->odd[2 * found->odd_count] = at;
    found->odd[2 * found->odd_count + 1] = line->length;
    found->odd_count++;
    return DONE;
}

/* Add a line to what was found; return why it was not, or DONE. */
INLINE int64_t take(const Line *line, bool regular, int64_t at, const Layout *layout,
                    const Tokens *interfaces, const Tokens *addresses, const Verdicts *verdicts,
                    Found *found) {
    int says = regular ? meaning(line, layout) : ODD;
    int64_t end = says == ODD ? -2 : seconds(number_at(line, layout->end));
    if (end == -2) {
        uint8_t first = line->window->at[line->begin];
        return first >= 'a' && first <= 'z' ? LETTER : leave(line, at, found);
    }
    if (says >= ACCEPTED) {
        int fate = add(line, layout, interfaces, addresses, verdicts, says == REFUSED, end,
                       &found->ledger);
        if (fate == KNOTTY) return leave(line, at, found);
        if (fate == NO_ROOM) return FULL;
    } else {
        found->no_data += says == NO_DATA;
        found->skip_data += says == SKIP_DATA;
    }
    if (end <= found->latest && end > found->newest) found->newest = end;
    return DONE;
}

INLINE int64_t scan(const uint8_t *data, int64_t begin, int64_t size, const Layout *layout,
                    const Tokens *interfaces, const Tokens *addresses, const Verdicts *verdicts,
                    Found *found, int knows) {
    Window window;
    uint16_t ends[MOST_FIELDS];
    const int32_t fields = layout->fields;
    found->why = DONE;
    while (begin < size) {
        look(&window, data + begin, size - begin, knows);
        Line line = {&window, data + size, 0, 0, NULL};
        const uint16_t *breaks = window.breaks, *strange = window.strange;
        const uint16_t *last = window.breaks + window.breaks_count;
        for (;;) {
            bool plain = !window.adjacent;
            while (*strange < WINDOW && window.at[*strange] != '\n') {
                strange++;
                plain = false;
            }
            if (*strange == WINDOW) break;
            int32_t end = *strange++;
            line.length = end + 1 - line.begin;
            line.ends = breaks;
            bool regular = plain && last - breaks >= fields && breaks[fields - 1] == end;
            if (!regular) {
                regular = cut(&window, line.begin, end, fields, ends);
                line.ends = ends;
                while (*breaks < end) breaks++;
                breaks++;
            } else {
                breaks += fields;
            }
            found->why = take(&line, regular, begin + line.begin, layout, interfaces, addresses,
                              verdicts, found);
            if (found->why != DONE) return begin + line.begin;
            line.begin = end + 1;
        }
        if (line.begin) {
            begin += line.begin;
            continue;
        }
        /* A line that is longer than a window. */
        const uint8_t *end = memchr(data + begin, '\n', (size_t)(size - begin));
        if (!end) return begin;
        line.length = (int32_t)(end + 1 - (data + begin));
        found->why = take(&line, false, begin, layout, interfaces, addresses, verdicts, found);
        if (found->why != DONE) return begin;
        begin += line.length;
    }
    return begin;
}

#ifdef NEWER
NEWER static int64_t scan_newer(const uint8_t *data, int64_t begin, int64_t size,
                                const Layout *layout, const Tokens *interfaces,
                                const Tokens *addresses, const Verdicts *verdicts, Found *found) {
    return scan(data, begin, size, layout, interfaces, addresses, verdicts, found, WITH_NEWER);
}

#ifdef NEWEST
NEWEST static int64_t scan_newest(const uint8_t *data, int64_t begin, int64_t size,
                                  const Layout *layout, const Tokens *interfaces,
                                  const Tokens *addresses, const Verdicts *verdicts,
                                  Found *found) {
    return scan(data, begin, size, layout, interfaces, addresses, verdicts, found, WITH_NEWEST);
}
#endif

static int known(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt"))
        return BASELINE;
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512vbmi2")
               ? WITH_NEWEST
               : WITH_NEWER;
}
#endif

/* Read the whole lines of data[begin, size); return where the first one begins that was not.
 * There has to be room for WINDOW bytes of text, for a port and for a rejected record, and the size
 * has to be below 2^31. */
int64_t flow_scan(const uint8_t *data, int64_t begin, int64_t size, const Layout *layout,
                  const Tokens *interfaces, const Tokens *addresses, const Verdicts *verdicts,
                  Found *found) {
#ifdef NEWER
    int knows = known();
#ifdef NEWEST
    if (knows == WITH_NEWEST)
        return scan_newest(data, begin, size, layout, interfaces, addresses, verdicts, found);
#endif
    if (knows != BASELINE)
        return scan_newer(data, begin, size, layout, interfaces, addresses, verdicts, found);
#endif
    return scan(data, begin, size, layout, interfaces, addresses, verdicts, found, BASELINE);
}

/* The digest of the source, by which it is told whether what was built is of it. */
#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST ""
#endif
const char *const flow_source = SOURCE_DIGEST;
