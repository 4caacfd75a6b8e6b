/* How a Parquet file and its pages are described: https://parquet.apache.org/docs/file-format/
 *
 * That is written in Thrift's compact protocol. What is not of flat columns, or cannot be, is odd, as
 * parquet.c has it. Nothing outside of data[begin, end) is read.
 */

#include "tokens.h"

typedef struct {
    const uint8_t *at, *end;
    bool bad;
} Input;

enum { STOP, IS_TRUE, IS_FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT };
enum { DEEPEST = 16 };

static uint8_t next_byte(Input *in) {
    if (in->at < in->end) return *in->at++;
    in->bad = true;
    return 0;
}

static uint64_t varint(Input *in) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = next_byte(in);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    in->bad = true;
    return 0;
}

static int64_t integer(Input *in) {
    uint64_t value = varint(in);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static Token binary(Input *in) {
    uint64_t length = varint(in);
    Token found = {in->at, 0};
    if (in->bad || length > (uint64_t)(in->end - in->at)) {
        in->bad = true;
        return found;
    }
    found.length = (int64_t)length;
    in->at += length;
    return found;
}

/* Return the type of the next field, whose number is then in `field`; STOP behind the last. */
static int next_field(Input *in, int64_t *field) {
    uint8_t head = next_byte(in);
    if (in->bad || (head & 15) == STOP) return STOP;
    *field = head >> 4 ? *field + (head >> 4) : integer(in);
    if (*field < 0 || *field > INT16_MAX) in->bad = true;
    return in->bad ? STOP : head & 15;
}

/* Return how many elements a list has, each of which takes a byte at least, and their type. */
static uint64_t list_of(Input *in, int *type) {
    uint8_t head = next_byte(in);
    uint64_t size = head >> 4 == 15 ? varint(in) : head >> 4;
    *type = head & 15;
    if (size > (uint64_t)(in->end - in->at)) in->bad = true;
    return in->bad ? 0 : size;
}

static void skip(Input *in, int type, int deep, bool inside) {
    int64_t field = 0;
    int of, to;
    uint64_t size;
    if (deep == DEEPEST) in->bad = true;
    if (in->bad) return;
    switch (type) {
    case IS_TRUE:
    case IS_FALSE:
        if (inside) next_byte(in);
        return;
    case BYTE:
        next_byte(in);
        return;
    case I16:
    case I32:
    case I64:
        varint(in);
        return;
    case DOUBLE:
        if (in->end - in->at < 8) in->bad = true;
        else in->at += 8;
        return;
    case BINARY:
        binary(in);
        return;
    case LIST:
    case SET:
        size = list_of(in, &of);
        while (size-- && !in->bad) skip(in, of, deep + 1, true);
        return;
    case MAP:
        size = varint(in);
        if (!size) return;
        of = next_byte(in);
        to = of & 15;
        of >>= 4;
        while (size-- && !in->bad) {
            skip(in, of, deep + 1, true);
            skip(in, to, deep + 1, true);
        }
        return;
    case STRUCT:
        while ((of = next_field(in, &field)) != STOP) skip(in, of, deep + 1, false);
        return;
    default:
        in->bad = true;
    }
}

/* Read a number that has to be one; anything else is bad. */
static int64_t number_of(Input *in, int type) {
    if (type == I32 || type == I64 || type == I16) return integer(in);
    in->bad = true;
    return 0;
}

/* A column, as the file describes it: where its name is, of which physical type it is, whether it
 * may have no value, and what it means: a text, a signed number, or none of these. */
enum { NAME, NAME_LENGTH, TYPE, OPTIONAL, MEANING, DESCRIBED };
enum { NO_MEANING, TEXT, SIGNED, OTHER_MEANING };
/* Of a column in a row group: how many values, how compressed, from where, how many bytes. */
enum { VALUES, CODEC, BEGIN, BYTES, CHUNK };

static int meaning_of_logical(Input *in) {
    int64_t field = 0, inner;
    int type, meaning = NO_MEANING;
    while ((type = next_field(in, &field)) != STOP) {
        if (type != STRUCT) {
            in->bad = true;
            break;
        }
        meaning = field == 1 ? TEXT : OTHER_MEANING;
        inner = 0;
        int64_t which = field;
        while ((type = next_field(in, &inner)) != STOP) {
            if (which == 10 && inner == 2) meaning = type == IS_TRUE ? SIGNED : OTHER_MEANING;
            skip(in, type, 0, false);
        }
    }
    return meaning;
}

/* Describe an element of the schema; return how many children it has. */
static int64_t element(Input *in, const uint8_t *data, int64_t *found) {
    int64_t field = 0, children = 0, converted = -1;
    int type, logical = NO_MEANING;
    memset(found, 0, DESCRIBED * sizeof *found);
    found[TYPE] = found[OPTIONAL] = -1;
    while ((type = next_field(in, &field)) != STOP) {
        if (field == 1) found[TYPE] = number_of(in, type);
        else if (field == 3) found[OPTIONAL] = number_of(in, type);
        else if (field == 4 && type == BINARY) {
            Token name = binary(in);
            found[NAME] = name.at - data;
            found[NAME_LENGTH] = name.length;
        } else if (field == 5) children = number_of(in, type);
        else if (field == 6) converted = number_of(in, type);
        else if (field == 10 && type == STRUCT) logical = meaning_of_logical(in);
        else skip(in, type, 0, false);
    }
    int old = converted < 0     ? NO_MEANING
              : converted == 0  ? TEXT
              : converted >= 15 && converted <= 18 ? SIGNED
                                : OTHER_MEANING;
    found[MEANING] = logical == NO_MEANING || logical == old ? old
                     : old == NO_MEANING ? logical
                                         : OTHER_MEANING;
    return children;
}

/* Describe a column's part of a row group, which has to be the one of that name. */
static void chunk(Input *in, Token name, int64_t type_of, int64_t *found) {
    int64_t field = 0, inner, dictionary = 0, values = 0;
    int type, of;
    bool there = false;
    memset(found, 0, CHUNK * sizeof *found);
    while ((type = next_field(in, &field)) != STOP) {
        if (field == 2) {
            skip(in, type, 0, false);
        } else if (field == 3 && type == STRUCT) {
            there = true;
            inner = 0;
            while ((type = next_field(in, &inner)) != STOP) {
                if (inner == 1) {
                    if (number_of(in, type) != type_of) in->bad = true;
                } else if (inner == 3 && type == LIST) {
                    if (list_of(in, &of) != 1 || of != BINARY) in->bad = true;
                    Token path = binary(in);
                    if (path.length != name.length ||
                        memcmp(path.at, name.at, (size_t)name.length) != 0)
                        in->bad = true;
                } else if (inner == 4) found[CODEC] = number_of(in, type);
                else if (inner == 5) found[VALUES] = number_of(in, type);
                else if (inner == 7) found[BYTES] = number_of(in, type);
                else if (inner == 9) values = number_of(in, type);
                else if (inner == 11) dictionary = number_of(in, type);
                else skip(in, type, 0, false);
            }
        } else if (field == 1 || field == 8 || field == 9) {
            in->bad = true; /* In another file, or encrypted. */
        } else {
            skip(in, type, 0, false);
        }
    }
    found[BEGIN] = dictionary > 0 && dictionary < values ? dictionary : values;
    if (!there) in->bad = true;
}

/* Read the description of a file, data[begin, end). Columns and then their parts of each row group
 * are written to `schema` and `chunks`, their numbers to `counts`; return whether nothing is odd. */
int32_t flow_footer(const uint8_t *data, int64_t begin, int64_t end, int64_t *schema,
                    int64_t columns_room, int64_t *chunks, int64_t chunks_room, int64_t *counts) {
    Input in = {data + begin, data + end, false};
    int64_t field = 0, columns = 0, groups = 0, rows = -1, rows_in_groups = 0;
    int type, of;
    while ((type = next_field(&in, &field)) != STOP) {
        if (field == 2 && type == LIST) {
            uint64_t size = list_of(&in, &of);
            int64_t root[DESCRIBED];
            if (columns || of != STRUCT || !size || size - 1 > (uint64_t)columns_room) return 0;
            columns = (int64_t)size - 1;
            if (element(&in, data, root) != columns) return 0;
            for (int64_t i = 0; i < columns && !in.bad; i++)
                if (element(&in, data, schema + i * DESCRIBED)) return 0;
        } else if (field == 3) {
            rows = number_of(&in, type);
        } else if (field == 4 && type == LIST) {
            uint64_t size = list_of(&in, &of);
            if (groups || of != STRUCT || (size && !columns)) return 0;
            if (size && size > (uint64_t)(chunks_room / columns)) return 0;
            groups = (int64_t)size;
            for (int64_t i = 0; i < groups && !in.bad; i++) {
                int64_t inner = 0, in_group = -1;
                bool there = false;
                int64_t *found = chunks + i * columns * CHUNK;
                while ((type = next_field(&in, &inner)) != STOP) {
                    if (inner == 1 && type == LIST) {
                        if (there || list_of(&in, &of) != (uint64_t)columns || of != STRUCT) return 0;
                        there = true;
                        for (int64_t j = 0; j < columns && !in.bad; j++) {
                            const int64_t *column = schema + j * DESCRIBED;
                            Token name = {data + column[NAME], column[NAME_LENGTH]};
                            chunk(&in, name, column[TYPE], found + j * CHUNK);
                        }
                    } else if (inner == 3) {
                        in_group = number_of(&in, type);
                    } else {
                        skip(&in, type, 0, false);
                    }
                }
                if (in.bad || !there || in_group < 0 || in_group > INT32_MAX) return 0;
                for (int64_t j = 0; j < columns; j++)
                    if (found[j * CHUNK + VALUES] != in_group) return 0;
                rows_in_groups += in_group;
            }
        } else if (field == 8) {
            return 0; /* Encrypted. */
        } else {
            skip(&in, type, 0, false);
        }
    }
    counts[0] = columns;
    counts[1] = groups;
    counts[2] = rows;
    return !in.bad && columns && rows == rows_in_groups;
}

/* Of a page: its kind, how large its body is and how large when decompressed, how many values it has
 * and how they are written, and where the body begins. */
enum { KIND, PLAIN_SIZE, PACKED_SIZE, PAGE_VALUES, ENCODING, LEVELS, BODY, PAGE };
enum { DATA_PAGE = 0, DICTIONARY_PAGE = 2 };
enum { MOST_HEAD = 65536 };

/* Read the head of the page that begins there; return whether nothing is odd. */
int32_t flow_page(const uint8_t *data, int64_t begin, int64_t end, int64_t *found) {
    int64_t most = end - begin < MOST_HEAD ? end : begin + MOST_HEAD;
    Input in = {data + begin, data + most, false};
    int64_t field = 0, inner;
    int type;
    for (int i = 0; i < PAGE; i++) found[i] = -1;
    while ((type = next_field(&in, &field)) != STOP) {
        if (field <= 3) {
            found[field - 1 < 0 ? 0 : field - 1] = number_of(&in, type);
        } else if ((field == 5 || field == 7) && type == STRUCT) {
            if (found[KIND] != (field == 5 ? DATA_PAGE : DICTIONARY_PAGE)) return 0;
            inner = 0;
            while ((type = next_field(&in, &inner)) != STOP) {
                if (inner == 1) found[PAGE_VALUES] = number_of(&in, type);
                else if (inner == 2) found[ENCODING] = number_of(&in, type);
                else if (inner == 3 && field == 5) found[LEVELS] = number_of(&in, type);
                else skip(&in, type, 0, false);
            }
        } else {
            skip(&in, type, 0, false);
        }
    }
    found[BODY] = in.at - data;
    return !in.bad && found[PAGE_VALUES] >= 0 && found[PAGE_VALUES] <= INT32_MAX &&
           found[PLAIN_SIZE] >= 0 && found[PACKED_SIZE] >= 0 &&
           found[PACKED_SIZE] <= data + end - in.at;
}
