/* The values of Parquet read without a library, and rows decided about by them.
 * https://parquet.apache.org/docs/file-format/data-pages/encodings/
 *
 * What writers of flow logs write: flat columns of texts and of signed numbers, in pages of the first
 * version that have dictionaries or plain values. Anything else is "odd", and the caller has it read
 * by others, from the beginning: so being wrong about it can only cost time. The bytes come from
 * others; nothing outside of what the caller names is read, and nothing beyond its room is written.
 */

#include "verdict.h"

#if defined(__GNUC__) && defined(__x86_64__) && !defined(PLAIN)
#define NEWER __attribute__((target("avx2,bmi,bmi2,popcnt")))
#endif

/* Rows are decided about in batches. An address or an interface has fewer bytes than MOST_TEXT. */
enum { BATCH = 1024, MOST_TEXT = 64, WORD = 64 };

/* Numbers that are runs of one value, or packed into `width` bits each. */
typedef struct {
    const uint8_t *at, *end;
    int64_t width, repeated, packed, bit;
    uint64_t value;
} Runs;

/* What a column means to a record. */
enum {
    INTERFACE,
    ACTION,
    STATUS,
    TARGET,
    SOURCE = TARGET + MOST_ENDS,
    START = SOURCE + MOST_ENDS,
    END,
    PACKETS,
    SIZE,
    FLAGS,
    SOURCE_PORT,
    TARGET_PORT,
    PROTOCOL,
    COLUMNS
};
enum { TEXTS = START };

/* What texts mean; an address is the number of a token, -1 for none, as is an interface, which is
 * UNSHAPED where it has no such name. */
enum { UNSHAPED = -2 };
enum { NONE, ACCEPT, REJECT, ANOTHER };
enum { UNTOLD, OK, NODATA, SKIPDATA };

/* The page of a column that is being read. Its values are places in a table: those of a dictionary,
 * or one after the other where the page has them itself. At `size`, behind the last, is what no value
 * is. Of texts the table has codes, and where they begin and how long they are. */
typedef struct {
    const uint8_t *text;
    const int64_t *numbers;
    const int64_t *places;
    const int32_t *codes;
    int64_t size, left, next;
    int32_t there, optional, in_turn;
    Runs levels, indexes;
} Column;

INLINE bool next_run(Runs *runs) {
    uint64_t head = 0;
    int shift = 0;
    for (;; shift += 7) {
        if (runs->at == runs->end || shift > 28) return false;
        uint8_t byte = *runs->at++;
        head |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) break;
    }
    uint64_t number = head >> 1, left = (uint64_t)(runs->end - runs->at);
    uint64_t width = (uint64_t)runs->width;
    if (head & 1) {
        /* Groups of eight values. */
        if (number * width > left) return false;
        runs->packed = (int64_t)(number * 8);
        runs->bit = 0;
    } else {
        uint64_t bytes = (width + 7) / 8;
        if (bytes > left) return false;
        runs->value = 0;
        for (uint64_t i = 0; i < bytes; i++) runs->value |= (uint64_t)runs->at[i] << (8 * i);
        runs->at += bytes;
        runs->repeated = (int64_t)number;
    }
    return true;
}

/* Return 64 bits from a bit on, zeros behind the end. */
INLINE uint64_t bits_at(const uint8_t *at, const uint8_t *end, int64_t bit) {
    at += bit >> 3;
    uint64_t word = 0;
    if (end - at >= 8) word = load(at);
    else
        for (int64_t i = 0; i < end - at; i++) word |= (uint64_t)at[i] << (8 * i);
    return word >> (bit & 7);
}

INLINE void leave_packed(Runs *runs) {
    if (!runs->packed) runs->at += runs->bit >> 3;
}

/* Read so many values; return false where there are not so many. */
INLINE bool read_runs(Runs *runs, uint32_t *out, int64_t number) {
    const uint64_t mask = ((uint64_t)1 << runs->width) - 1;
    while (number) {
        int64_t some;
        if (runs->repeated) {
            some = least(runs->repeated, number);
            for (int64_t i = 0; i < some; i++) out[i] = (uint32_t)runs->value;
            runs->repeated -= some;
        } else if (runs->packed) {
            some = least(runs->packed, number);
            const int64_t width = runs->width;
            int64_t bit = runs->bit, i = 0;
            /* A load of eight bytes stays within the page up to here. */
            int64_t safe = (runs->end - runs->at - 8) * 8;
            for (; i < some && bit <= safe; i++, bit += width)
                out[i] = (uint32_t)(load(runs->at + (bit >> 3)) >> (bit & 7) & mask);
            for (; i < some; i++, bit += width)
                out[i] = (uint32_t)(bits_at(runs->at, runs->end, bit) & mask);
            runs->bit = bit;
            runs->packed -= some;
            leave_packed(runs);
        } else {
            if (!next_run(runs)) return false;
            continue;
        }
        out += some;
        number -= some;
    }
    return true;
}

/* Read so many levels, a bit each, into words; return how many are set, -1 where there are too few. */
INLINE int64_t read_levels(Runs *runs, uint64_t *out, int64_t number) {
    int64_t done = 0, set = 0;
    memset(out, 0, BATCH / 8);
    while (done < number) {
        int64_t room = least(WORD - done % WORD, number - done), some;
        uint64_t bits;
        if (runs->repeated) {
            some = least(runs->repeated, room);
            bits = runs->value & 1 ? ~(uint64_t)0 : 0;
            runs->repeated -= some;
        } else if (runs->packed) {
            /* Of a word taken from any bit up to seven are missing. */
            some = least(least(runs->packed, room), WORD - 8);
            bits = bits_at(runs->at, runs->end, runs->bit);
            runs->bit += some;
            runs->packed -= some;
            leave_packed(runs);
        } else {
            if (!next_run(runs)) return -1;
            continue;
        }
        if (some < WORD) bits &= ((uint64_t)1 << some) - 1;
        out[done / WORD] |= bits << (done % WORD);
        set += ones(bits);
        done += some;
    }
    return set;
}

/* Put values where their levels are set, and `none` elsewhere. */
INLINE void spread(const uint64_t *levels, const uint32_t *values, int64_t present, uint32_t *out,
                   int64_t number, uint32_t none) {
    int64_t at = 0;
    for (int64_t begin = 0; begin < number; begin += WORD) {
        int64_t size = least(WORD, number - begin);
        uint64_t gaps = ~levels[begin / WORD];
        if (size < WORD) gaps &= ((uint64_t)1 << size) - 1;
        if (ones(gaps) > 8) {
            for (int64_t i = 0; i < size; i++) {
                bool is = !(gaps >> i & 1);
                /* It is within what was read, or just behind it. */
                out[begin + i] = is ? values[at < present ? at : 0] : none;
                at += is;
            }
            continue;
        }
        /* Few are missing: whole pieces between them. */
        int64_t done = 0;
        while (gaps) {
            int64_t gap = lowest(gaps);
            memcpy(out + begin + done, values + at, (size_t)(gap - done) * sizeof *out);
            at += gap - done;
            out[begin + gap] = none;
            done = gap + 1;
            gaps &= gaps - 1;
        }
        memcpy(out + begin + done, values + at, (size_t)(size - done) * sizeof *out);
        at += size - done;
    }
}

/* Read so many of a column's values as places in its table; return false where that cannot be. */
INLINE bool read_column(Column *column, uint32_t *out, int64_t number) {
    const uint32_t none = (uint32_t)column->size;
    uint64_t levels[BATCH / WORD];
    uint32_t found[BATCH], *values = out;
    int64_t present = number;
    if (!column->there) {
        for (int64_t i = 0; i < number; i++) out[i] = 0;
        return true;
    }
    if (column->optional) {
        present = read_levels(&column->levels, levels, number);
        if (present < 0) return false;
        if (present < number) values = found;
    }
    if (column->in_turn) {
        if (present > column->size - column->next) return false;
        for (int64_t i = 0; i < present; i++) values[i] = (uint32_t)(column->next + i);
        column->next += present;
    } else {
        uint32_t beyond = 0;
        if (!read_runs(&column->indexes, values, present)) return false;
        for (int64_t i = 0; i < present; i++) beyond |= values[i] >= none;
        if (beyond) return false;
    }
    column->left -= number;
    if (values == out) return true;
    spread(levels, found, present, out, number, none);
    return true;
}

/* A record that is put aside: its numbers, and where each of its texts begins in `text` and how long
 * it is, -1 where there is none. */
enum { NUMBERS = COLUMNS - TEXTS, ASIDE = 1 + NUMBERS + 2 * TEXTS };

/* What rows add to. `aside` are rows that only the Judge can tell, and the first that is malformed,
 * marked in its first column. `told` are those with a status. */
typedef struct {
    Ledger ledger;
    int64_t *aside;
    uint8_t *text;
    int64_t aside_room, text_room, aside_count, text_size;
    int64_t no_data, skip_data, malformed, told;
    int64_t latest, newest;
} Rows;

typedef struct {
    Column columns[COLUMNS];
} Columns;

INLINE Token text_of(const Column *column, uint32_t place) {
    Token found = {column->text + column->places[2 * place], column->places[2 * place + 1]};
    return found;
}

INLINE void put_aside(const Columns *of, uint32_t (*places)[BATCH], int64_t row, bool bad,
                      Rows *rows) {
    int64_t *aside = rows->aside + rows->aside_count++ * ASIDE;
    *aside++ = bad;
    for (int i = TEXTS; i < COLUMNS; i++) *aside++ = of->columns[i].numbers[places[i][row]];
    for (int i = 0; i < TEXTS; i++) {
        Token found = text_of(&of->columns[i], places[i][row]);
        *aside++ = rows->text_size;
        *aside++ = found.length;
        if (found.length <= 0) continue;
        memcpy(rows->text + rows->text_size, found.at, (size_t)found.length);
        rows->text_size += found.length;
    }
}

INLINE Token last_of(const Column *columns, uint32_t (*places)[BATCH], int64_t row) {
    Token last = {NULL, 0};
    for (int i = 0; i < MOST_ENDS; i++) {
        Token found = text_of(&columns[i], places[i][row]);
        if (found.length >= 0 && !is_dash(found)) last = found;
    }
    return last;
}

/* Decide about one batch. */
INLINE void decide(const Columns *of, uint32_t (*places)[BATCH], int64_t number,
                   const Verdicts *verdicts, Rows *rows) {
    const Column *columns = of->columns;
    const bool told = columns[STATUS].there;
    for (int64_t row = 0; row < number; row++) {
#define CODE(i) (columns[i].codes[places[i][row]])
#define NUMBER(i) (columns[i].numbers[places[i][row]])
        int32_t interface_id = CODE(INTERFACE), action = CODE(ACTION), status = CODE(STATUS);
        int64_t end = NUMBER(END);
        bool shaped = interface_id != UNSHAPED, acts = action == ACCEPT || action == REJECT;
        bool good = shaped && acts && NUMBER(START) >= 0 && end >= 0 && (!told || status == OK);
        if (!good) {
            bool gap = shaped && (told ? status == NODATA : action == NONE);
            bool skips = shaped && told && status == SKIPDATA;
            rows->no_data += gap;
            rows->skip_data += skips;
            if (!gap && !skips) {
                if (!rows->malformed++) put_aside(of, places, row, true, rows);
                continue;
            }
        }
        if (end <= rows->latest && end > rows->newest) rows->newest = end;
        if (!good) continue;
        int32_t most = interface_id, ends[2 * MOST_ENDS];
        for (int i = 0; i < 2 * MOST_ENDS; i++) {
            ends[i] = CODE(TARGET + i);
            most = ends[i] > most ? ends[i] : most;
        }
        if (most < 0) {
            rows->ledger.other++;
            continue;
        }
        Record record;
        record.own = interface_id;
        for (int i = 0; i < 2 * MOST_ENDS; i++) record.ends[i] = ends[i];
        record.rejected = action == REJECT;
        record.start = NUMBER(START);
        record.end = end;
        record.packets = NUMBER(PACKETS);
        record.size = NUMBER(SIZE);
        record.flags = NUMBER(FLAGS);
        record.source_port = NUMBER(SOURCE_PORT);
        record.target_port = NUMBER(TARGET_PORT);
        record.protocol = NUMBER(PROTOCOL);
        record.peers[0] = record.peers[1] = (Token){NULL, 0};
        if (record.rejected) {
            record.peers[0] = last_of(columns + SOURCE, places + SOURCE, row);
            record.peers[1] = last_of(columns + TARGET, places + TARGET, row);
        }
        if (settle(&record, verdicts, &rows->ledger) != SETTLED)
            put_aside(of, places, row, false, rows);
#undef CODE
#undef NUMBER
    }
}

INLINE bool has_room(const Rows *rows) {
    const Ledger *ledger = &rows->ledger;
    return ledger->rejected_room - ledger->rejected_count >= BATCH &&
           ledger->ports_room - ledger->ports_count >= BATCH &&
           ledger->text_room - ledger->text_size >= BATCH * MOST_TEXT &&
           rows->aside_room - rows->aside_count >= BATCH &&
           rows->text_room - rows->text_size >= BATCH * MOST_TEXT * TEXTS;
}

INLINE int64_t count(Columns *columns, int64_t number, const Verdicts *verdicts, Rows *rows) {
    uint32_t places[COLUMNS][BATCH];
    int64_t done = 0;
    while (done < number && has_room(rows)) {
        int64_t some = least(BATCH, number - done);
        for (int i = 0; i < COLUMNS; i++)
            if (columns->columns[i].there) some = least(some, columns->columns[i].left);
        if (!some) break;
        for (int i = 0; i < COLUMNS; i++)
            if (!read_column(&columns->columns[i], places[i], some)) return -1;
        const Column *status = &columns->columns[STATUS];
        for (int64_t i = 0; status->there && i < some; i++)
            rows->told += places[STATUS][i] != (uint32_t)status->size;
        decide(columns, places, some, verdicts, rows);
        done += some;
    }
    return done;
}

#ifdef NEWER
NEWER static int64_t count_newer(Columns *columns, int64_t number, const Verdicts *verdicts,
                                 Rows *rows) {
    return count(columns, number, verdicts, rows);
}
#endif

/* Count rows, so many at most; return how many were, -1 where something is odd. It ends where a
 * column's page does, and where there is no room for a whole batch. */
int64_t flow_rows(Columns *columns, int64_t number, const Verdicts *verdicts, Rows *rows) {
#ifdef NEWER
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
        return count_newer(columns, number, verdicts, rows);
#endif
    return count(columns, number, verdicts, rows);
}

/* Read plain numbers of four or eight bytes into a table, negative ones as none, and stamps as
 * seconds; return how many there are, `most` at most. There has to be room for one more. */
int64_t flow_numbers(const uint8_t *body, int64_t begin, int64_t size, int64_t bytes, int32_t stamps,
                     int64_t most, int64_t *table) {
    int64_t number = least((size - begin) / bytes, most);
    const uint8_t *at = body + begin;
    for (int64_t i = 0; i < number; i++, at += bytes) {
        uint64_t word = 0;
        if (bytes == 8) word = load(at);
        else
            for (int j = 0; j < 4; j++) word |= (uint64_t)at[j] << (8 * j);
        int64_t value = bytes == 8 ? (int64_t)word : (int64_t)(int32_t)(uint32_t)word;
        table[i] = value < 0 ? -1 : stamps ? seconds(value) : value;
    }
    table[number] = -1;
    return number;
}

static int32_t code_of(int32_t column, Token text, const Tokens *tokens, const uint8_t *limit) {
    bool dash = is_dash(text);
    if (column == ACTION)
        return is(text, "ACCEPT", 6) ? ACCEPT : is(text, "REJECT", 6) ? REJECT : dash ? NONE : ANOTHER;
    if (column == STATUS)
        return is(text, "OK", 2)         ? OK
               : is(text, "NODATA", 6)   ? NODATA
               : is(text, "SKIPDATA", 8) ? SKIPDATA
                                         : UNTOLD;
    if (column == INTERFACE && !dash && (text.length < 4 || memcmp(text.at, "eni-", 4) != 0))
        return UNSHAPED;
    return (int32_t)find(tokens, text, slot_of(tokens, text, limit));
}

/* Read plain texts into tables of one more place than there are; return how many there are, `most` at
 * most, and -1 where one is longer than any address, or not ASCII. */
int64_t flow_texts(const uint8_t *body, int64_t begin, int64_t size, int32_t column,
                   const Tokens *tokens, int64_t most, int64_t *places, int32_t *codes) {
    int64_t number = 0, at = begin;
    /* The bytes of a length that is short are ASCII too. */
    uint8_t high = 0;
    for (int64_t i = begin; i < size; i++) high |= body[i];
    if (high & 0x80) return -1;
    while (number < most && size - at >= 4) {
        int64_t length = 0;
        for (int i = 0; i < 4; i++) length |= (int64_t)body[at + i] << (8 * i);
        at += 4;
        if (length >= MOST_TEXT || length > size - at) return -1;
        Token text = {body + at, length};
        places[2 * number] = at;
        places[2 * number + 1] = length;
        codes[number++] = code_of(column, text, tokens, body + size);
        at += length;
    }
    places[2 * number] = 0;
    places[2 * number + 1] = -1;
    codes[number] = column == ACTION || column == STATUS ? 0 : -1;
    return number;
}

/* Begin a data page whose values are in body[begin, size): levels first where the column may have no
 * value. Return where the values begin, -1 where that is odd. */
int64_t flow_levels(Column *column, const uint8_t *body, int64_t size) {
    Runs none = {0};
    column->levels = none;
    if (!column->optional) return 0;
    int64_t length = 0;
    if (size < 4) return -1;
    for (int i = 0; i < 4; i++) length |= (int64_t)body[i] << (8 * i);
    if (length > size - 4) return -1;
    column->levels.at = body + 4;
    column->levels.end = body + 4 + length;
    column->levels.width = 1;
    return 4 + length;
}

/* Go on with places in the dictionary, which body[begin, size) has; return whether that can be. */
int32_t flow_indexes(Column *column, const uint8_t *body, int64_t begin, int64_t size) {
    Runs none = {0};
    column->indexes = none;
    column->in_turn = 0;
    /* A page without any value may have nothing at all. */
    if (begin >= size) return 1;
    column->indexes.width = body[begin];
    column->indexes.at = body + begin + 1;
    column->indexes.end = body + size;
    return body[begin] <= 31;
}
