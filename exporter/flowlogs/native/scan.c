/* Flow-log lines sorted and read in one pass: what columns.py decides of them, without NumPy.
 *
 * The text comes from others. Nothing outside data[0, size) is read and nothing beyond the room that
 * the caller says there is is written. Whatever is not plainly a line that AWS writes is "odd": the
 * caller reads it by itself, so being wrong about it can only cost time. There is no state but the
 * caller's, so that threads can read at once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(PLAIN)
#include <emmintrin.h>
#endif

enum { MOST_FIELDS = 64, MOST_ENDS = 2, BLOCK = 64 };

/* Stamps from here on are milliseconds. */
static const int64_t MILLISECONDS_FROM = 100000000000;

/* Why a scan has ended: the text has, a row or an odd line has no room, or an odd line begins with a
 * small letter, as headers do. */
enum { DONE, FULL, ODD_FULL, LETTER };

/* Where the fields stand; -1 for what the layout lacks. */
typedef struct {
    int32_t fields;
    int32_t numerics;
    int32_t numeric[MOST_FIELDS];
    int32_t interface_id, action, start, end, log_status;
    int32_t packets, bytes, tcp_flags, source_port, target_port, protocol;
    int32_t targets[MOST_ENDS], sources[MOST_ENDS];
} Layout;

/* A set of tokens: token i is text[begins[i], begins[i + 1]). A slot has a token's number or -1; mask
 * is one less than the number of slots, a power of two that is more than that of tokens. */
typedef struct {
    const uint8_t *text;
    const int64_t *begins;
    int32_t *slots;
    int64_t number;
    int64_t mask;
} Tokens;

/* The columns of rows; each has `room` places. The text is relative to `text`. */
enum {
    OWN,
    TARGET,
    SOURCE = TARGET + MOST_ENDS,
    REJECTED = SOURCE + MOST_ENDS,
    START,
    END,
    PACKETS,
    SIZE,
    FLAGS,
    SOURCE_PORT,
    TARGET_PORT,
    PROTOCOL,
    LINE,
    LINE_LENGTH,
    FROM,
    FROM_LENGTH,
    TO,
    TO_LENGTH,
    COLUMNS
};

/* What a scan adds to. Rows are records that may concern an endpoint; their lines are copied to
 * `text`. `other` are good records that concern nobody. `newest` is the latest end that is not
 * after `latest`, in seconds. `odd` has where odd lines begin, in pairs with their length. */
typedef struct {
    int64_t *rows;
    uint8_t *text;
    int64_t *odd;
    int64_t room, text_room, odd_room;
    int64_t row_count, text_size, odd_count;
    int64_t other, no_data, skip_data;
    int64_t latest, newest;
    int64_t why;
} Found;

typedef struct {
    const uint8_t *at;
    int64_t length;
} Token;

static inline uint64_t load(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The first `length` bytes, 1 to 8, as the last of a word whose first ones are zero bits. */
static inline uint64_t load_last(const uint8_t *at, int64_t length, const uint8_t *limit) {
    if (limit - at >= 8) return load(at) << (8 * (8 - length));
    uint64_t word = 0;
    for (int64_t i = 0; i < length; i++) word |= (uint64_t)at[i] << (8 * (8 - length + i));
    return word;
}

/* Return a bit for each of 64 bytes that is a space, a control character or not ASCII. */
static inline uint64_t breaks(const uint8_t *at) {
#if defined(__SSE2__) && !defined(PLAIN)
    /* Bytes that are not ASCII are negative. */
    const __m128i bound = _mm_set1_epi8(33);
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
        uint64_t some = (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(bytes, bound));
        bits |= some << (16 * i);
    }
    return bits;
#else
    const uint64_t ones = 0x0101010101010101u;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t word = load(at + 8 * i);
        uint64_t above = (word & (0x7F * ones)) + (0x7F - 32) * ones;
        uint64_t found = ((~above | word) >> 7) & ones;
        /* Moves the lowest bit of each byte to the highest byte. */
        bits |= (found * 0x0102040810204080u) >> 56 << (8 * i);
    }
    return bits;
#endif
}

static inline int lowest(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int n = 0;
    while (!(bits >> n & 1)) n++;
    return n;
#endif
}

/* The breaks of a text, one after the other. */
typedef struct {
    const uint8_t *data;
    int64_t size;
    int64_t block;
    uint64_t bits;
} Breaks;

static inline uint64_t breaks_of(const uint8_t *data, int64_t size, int64_t block) {
    if (size - block >= BLOCK) return breaks(data + block);
    uint8_t last[BLOCK];
    memset(last, 'x', BLOCK);
    if (block < size) memcpy(last, data + block, (size_t)(size - block));
    return breaks(last);
}

/* Return where the next break is; the size when there is none. */
static inline int64_t next(Breaks *of) {
    while (!of->bits) {
        of->block += BLOCK;
        if (of->block >= of->size) return of->size;
        of->bits = breaks_of(of->data, of->size, of->block);
    }
    int64_t at = of->block + lowest(of->bits);
    of->bits &= of->bits - 1;
    return at;
}

static inline bool is(Token token, const char *text, int64_t length) {
    return token.length == length && memcmp(token.at, text, (size_t)length) == 0;
}

static inline bool is_dash(Token token) { return token.length == 1 && *token.at == '-'; }

static inline bool are_digits(uint64_t word) {
    const uint64_t ones = 0x0101010101010101u;
    return ((word & (0xF0 * ones)) | (((word + 6 * ones) & (0xF0 * ones)) >> 4)) == 0x33 * ones;
}

/* Put zeros before a word's last `length` bytes, 1 to 8. */
static inline uint64_t with_zeros(uint64_t word, int64_t length) {
    return word | (0x3030303030303030u & (((uint64_t)1 << (8 * (8 - length) & 63)) - 1));
}

static inline bool is_number(Token token, const uint8_t *limit) {
    if (token.length <= 8)
        return are_digits(with_zeros(load_last(token.at, token.length, limit), token.length));
    return token.length <= 16 && are_digits(load(token.at)) &&
           are_digits(load(token.at + token.length - 8));
}

static inline int64_t eight_digits(uint64_t word) {
    const uint64_t pairs = 0x000000FF000000FFu;
    word -= 0x3030303030303030u;
    word = word * 10 + (word >> 8);
    uint64_t high = (word & pairs) * 0x000F424000000064u;
    uint64_t low = ((word >> 16) & pairs) * 0x0000271000000001u;
    return (int64_t)((high + low) >> 32);
}

/* Return the number that a token of up to 16 digits is; -1 for `-`. */
static inline int64_t number(Token token, const uint8_t *limit) {
    int64_t length = token.length;
    if (length == 1 && *token.at == '-') return -1;
    if (length <= 8) return eight_digits(with_zeros(load_last(token.at, length, limit), length));
    int64_t above = length - 8;
    uint64_t head = with_zeros(load(token.at) << (8 * (8 - above)), above);
    return eight_digits(head) * 100000000 + eight_digits(load(token.at + above));
}

static inline int64_t seconds(int64_t stamp) {
    return stamp >= MILLISECONDS_FROM ? stamp / 1000 : stamp;
}

static inline uint64_t hash(Token token, const uint8_t *limit) {
    uint64_t head, tail;
    if (token.length >= 8) {
        head = load(token.at);
        tail = load(token.at + token.length - 8);
    } else {
        head = 0;
        tail = token.length ? load_last(token.at, token.length, limit) : 0;
    }
    uint64_t word = (head * 0x9E3779B97F4A7C15u) ^ tail ^ ((uint64_t)token.length << 56);
    word = (word ^ (word >> 32)) * 0xD6E8FEB86659FD93u;
    return word ^ (word >> 32);
}

/* Return which token it is; -1 for none of them. */
static inline int64_t find(const Tokens *tokens, Token token, const uint8_t *limit) {
    for (int64_t slot = (int64_t)hash(token, limit) & tokens->mask;;
         slot = (slot + 1) & tokens->mask) {
        int64_t i = tokens->slots[slot];
        if (i < 0) return -1;
        int64_t begin = tokens->begins[i];
        if (tokens->begins[i + 1] - begin == token.length &&
            memcmp(tokens->text + begin, token.at, (size_t)token.length) == 0)
            return i;
    }
}

/* Fill the slots, all of them -1 before. */
void flow_fill(Tokens *tokens) {
    const uint8_t *limit = tokens->text + tokens->begins[tokens->number];
    for (int64_t i = 0; i < tokens->number; i++) {
        int64_t begin = tokens->begins[i];
        Token token = {tokens->text + begin, tokens->begins[i + 1] - begin};
        int64_t slot = (int64_t)hash(token, limit) & tokens->mask;
        while (tokens->slots[slot] >= 0) slot = (slot + 1) & tokens->mask;
        tokens->slots[slot] = (int32_t)i;
    }
}

/* A line cut at its breaks: token i ends at ends[i], and begins behind the one before it. */
typedef struct {
    const uint8_t *data, *limit;
    int64_t begin, ends[MOST_FIELDS];
} Line;

static inline Token token(const Line *line, int32_t column) {
    int64_t begin = column ? line->ends[column - 1] + 1 : line->begin;
    Token found = {line->data + begin, line->ends[column] - begin};
    return found;
}

static inline int64_t number_at(const Line *line, int32_t column) {
    return column < 0 ? -1 : number(token(line, column), line->limit);
}

enum { ODD, NO_DATA, SKIP_DATA, ACCEPTED, REFUSED };

/* Return what a line says, whose tokens are neither empty nor too few nor too many. */
static inline int meaning(const Line *line, const Layout *layout) {
    for (int32_t i = 0; i < layout->numerics; i++) {
        Token found = token(line, layout->numeric[i]);
        if (!is_number(found, line->limit) && !is_dash(found)) return ODD;
    }
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

/* Note where the last of the columns stands that is not `-`: an address of one end. */
static inline void note(const Line *line, const int32_t *columns, int64_t *at, int64_t *length) {
    *at = *length = 0;
    for (int32_t i = 0; i < MOST_ENDS; i++) {
        if (columns[i] < 0) continue;
        Token found = token(line, columns[i]);
        if (is_dash(found)) continue;
        *at = found.at - (line->data + line->begin);
        *length = found.length;
    }
}

/* Add a record; return false where there is no room for it. */
static inline bool add(const Line *line, int64_t length, const Layout *layout,
                       const Tokens *interfaces, const Tokens *addresses, bool refused,
                       int64_t end, Found *found) {
    int64_t own = find(interfaces, token(line, layout->interface_id), line->limit);
    int64_t ends[2 * MOST_ENDS], concerned = own >= 0;
    for (int32_t i = 0; i < 2 * MOST_ENDS; i++) {
        int32_t column = i < MOST_ENDS ? layout->targets[i] : layout->sources[i - MOST_ENDS];
        ends[i] = column < 0 ? -1 : find(addresses, token(line, column), line->limit);
        concerned |= ends[i] >= 0;
    }
    if (!concerned) {
        found->other++;
        return true;
    }
    if (found->row_count == found->room || found->text_room - found->text_size < length)
        return false;
    int64_t values[COLUMNS];
    values[OWN] = own;
    for (int32_t i = 0; i < 2 * MOST_ENDS; i++) values[TARGET + i] = ends[i];
    values[REJECTED] = refused;
    values[START] = seconds(number_at(line, layout->start));
    values[END] = end;
    values[PACKETS] = number_at(line, layout->packets);
    values[SIZE] = number_at(line, layout->bytes);
    values[FLAGS] = number_at(line, layout->tcp_flags);
    values[SOURCE_PORT] = number_at(line, layout->source_port);
    values[TARGET_PORT] = number_at(line, layout->target_port);
    values[PROTOCOL] = number_at(line, layout->protocol);
    values[LINE] = found->text_size;
    values[LINE_LENGTH] = length;
    note(line, layout->sources, &values[FROM], &values[FROM_LENGTH]);
    note(line, layout->targets, &values[TO], &values[TO_LENGTH]);
    values[FROM] += found->text_size;
    values[TO] += found->text_size;
    for (int32_t i = 0; i < COLUMNS; i++) found->rows[i * found->room + found->row_count] = values[i];
    memcpy(found->text + found->text_size, line->data + line->begin, (size_t)length);
    found->text_size += length;
    found->row_count++;
    return true;
}

/* Read whole lines; return where the first one begins that was not. */
int64_t flow_scan(const uint8_t *data, int64_t begin, int64_t size, const Layout *layout,
                  const Tokens *interfaces, const Tokens *addresses, Found *found) {
    Line line = {data, data + size, begin, {0}};
    Breaks of = {data, size, begin, 0};
    const int32_t fields = layout->fields;
    found->why = DONE;
    if (begin >= size) return begin;
    of.bits = breaks_of(data, size, begin);
    for (;;) {
        int32_t field = 0;
        int64_t from = line.begin, at;
        bool regular = true;
        for (;;) {
            at = next(&of);
            if (at >= size) return line.begin;
            uint8_t byte = data[at];
            regular &= at != from;
            from = at + 1;
            if (byte == ' ') {
                if (field < fields - 1)
                    line.ends[field++] = at;
                else
                    regular = false;
            } else if (byte == '\n') {
                line.ends[field] = at;
                break;
            } else if (byte == '\r' && at + 1 < size && data[at + 1] == '\n') {
                line.ends[field] = at;
                at = next(&of);
                break;
            } else {
                regular = false;
            }
        }
        int64_t length = at + 1 - line.begin;
        regular &= field == fields - 1 && length <= found->text_room;
        int says = regular ? meaning(&line, layout) : ODD;
        if (says == ODD) {
            if (data[line.begin] >= 'a' && data[line.begin] <= 'z') {
                found->why = LETTER;
                return line.begin;
            }
            if (found->odd_count == found->odd_room) {
                found->why = ODD_FULL;
                return line.begin;
            }
            found->odd[2 * found->odd_count] = line.begin;
            found->odd[2 * found->odd_count + 1] = length;
            found->odd_count++;
        } else {
            int64_t end = seconds(number_at(&line, layout->end));
            if (says >= ACCEPTED) {
                if (!add(&line, length, layout, interfaces, addresses, says == REFUSED, end, found)) {
                    found->why = FULL;
                    return line.begin;
                }
            } else {
                found->no_data += says == NO_DATA;
                found->skip_data += says == SKIP_DATA;
            }
            if (end <= found->latest && end > found->newest) found->newest = end;
        }
        line.begin = at + 1;
    }
}

/* The digest of this file, by which it is told whether what was built is of it. */
#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST ""
#endif
const char *const flow_source = SOURCE_DIGEST;
