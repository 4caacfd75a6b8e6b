/* What becomes of a record: what `records.py` decides by the tables of a Judge, record by record. */

#ifndef FLOW_VERDICT_H
#define FLOW_VERDICT_H

#include "tokens.h"

enum { MOST_ENDS = 2 };

/* Stamps from here on are milliseconds; no window carries more packets or bytes than LARGEST. */
static const int64_t MILLISECONDS_FROM = 100000000000;
static const int64_t LARGEST = (int64_t)1 << 48;
enum { SYN = 2, ACK = 16, TCP = 6, PORTS = 65536, PROTOCOLS = 256 };

INLINE int64_t seconds(int64_t stamp) {
    return stamp >= MILLISECONDS_FROM ? stamp / 1000 : stamp;
}

/* The tables, as table.py makes them: whose is an interface; whose is an address, from when until
 * when, and whether others had it too; from which start until which the flow log speaks, by action
 * and interface, of which the last one is any other. -1 is nobody. Times are in seconds. */
typedef struct {
    const int64_t *owners, *owner;
    const double *born, *until;
    const uint8_t *many;
    const double *begin, *end;
    const uint8_t *tangled;
    int64_t interfaces;
    double first_seen, lookback, delivered, clocks_differ;
} Verdicts;

/* Of an endpoint, side and action: how many records, how many of them tell packets and bytes and
 * what these sum up to, and how many are connections that were rejected. */
enum { RECORDS, TELL_PACKETS, SUM_PACKETS, TELL_BYTES, SUM_BYTES, REFUSED_CONNECTIONS, SUMS };

/* A rejected record, as it is put aside; the address is in `text`. */
enum {
    ENDPOINT,
    INBOUND,
    CLIENT,
    OF_PROTOCOL,
    OF_PORT,
    OF_FLAGS,
    ENDED,
    FROM,
    FROM_LENGTH,
    REJECTED_COLUMNS
};

enum { JUST_SEEN = 4096, CLIENTS_ACCEPTED = 16, CLIENT_TEXT = 48 };

/* A sample of the clients that one endpoint accepted in one direction: those with the least hashes,
 * so that both directions have the same ones. `limit` is the largest of these once there is no room
 * for more. `text` is padded with zeros. */
typedef struct {
    uint64_t limit;
    int64_t count;
    uint64_t hash[CLIENTS_ACCEPTED];
    int64_t end[CLIENTS_ACCEPTED];
    char text[CLIENTS_ACCEPTED][CLIENT_TEXT];
} Clients;

/* What records add to. `sums` are by endpoint, side (own, client), action (accepted, rejected).
 * `ports` are accepted ones as endpoint << 32 | protocol << 16 | port, of which `seen` has those
 * that came just before. `clients` are by endpoint and direction (from it, to it); `salt` gives each
 * file a sample of its own. */
typedef struct {
    int64_t *sums, *rejected, *ports, *seen;
    uint8_t *text;
    Clients *clients;
    uint64_t salt;
    int64_t rejected_room, ports_room, text_room;
    int64_t rejected_count, ports_count, text_size;
    int64_t counted, other, duplicate, before_start, late;
} Ledger;

/* A good record; of numbers -1 is none and -2 one that is too long. `own` and `ends` (targets, then
 * sources) are numbers of tokens, -1 for none. `peers` are the last addresses of its sources and of
 * its targets, of length 0 where there is none. */
typedef struct {
    int64_t own, ends[2 * MOST_ENDS];
    bool rejected;
    int64_t start, end, packets, size, flags, source_port, target_port, protocol;
    Token peers[2];
} Record;

/* What has become of a record: it is counted, only the Judge itself can tell, or there is no room. */
enum { SETTLED, KNOTTY, NO_ROOM };

INLINE int64_t least(int64_t one, int64_t other) { return one < other ? one : other; }

INLINE uint64_t hash_of(Token text, uint64_t salt) {
    uint64_t first = 0, last = 0;
    size_t length = (size_t)text.length, some = length < 8 ? length : 8;
    memcpy(&first, text.at, some);
    memcpy(&last, text.at + length - some, some);
    uint64_t hash = (first ^ salt) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ hash >> 32 ^ last ^ length) * 0xD6E8FEB86659FD93u;
    hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

INLINE void meet(Clients *known, Token client, uint64_t hash, int64_t end) {
    bool full = known->count == CLIENTS_ACCEPTED;
    if (full && hash > known->limit) return;
    int64_t at = 0;
    while (at < known->count && known->hash[at] != hash) at++;
    if (at < known->count) {
        if (end > known->end[at]) known->end[at] = end;
        return;
    }
    if (!full) {
        known->count++;
    } else {
        for (at = 0; known->hash[at] != known->limit; at++) {}
    }
    known->hash[at] = hash;
    known->end[at] = end;
    memset(known->text[at], 0, CLIENT_TEXT);
    memcpy(known->text[at], client.at, (size_t)client.length);
    known->limit = 0;
    for (int64_t i = 0; i < known->count; i++)
        if (known->hash[i] > known->limit) known->limit = known->hash[i];
}

INLINE int settle(const Record *record, const Verdicts *by, Ledger *to) {
    int64_t start = record->start, end = record->end;
    int64_t endpoint = record->own < 0 ? -1 : by->owners[record->own];
    int inbound = -1;
    int64_t lowest = least(least(record->packets, record->size), least(start, end));
    lowest = least(lowest, least(record->flags, record->protocol));
    lowest = least(lowest, least(record->source_port, record->target_port));
    if (end < start || (double)end > by->delivered + by->clocks_differ || lowest < -1 ||
        record->packets > LARGEST || record->size > LARGEST)
        return KNOTTY;
    for (int i = 0; i < 2 * MOST_ENDS; i++) {
        int64_t found = record->ends[i];
        if (found < 0) continue;
        if (by->many[found]) return KNOTTY;
        bool here = record->own >= 0 && by->owner[found] == endpoint && inbound < 0;
        bool client = endpoint < 0 && by->born[found] <= (double)start &&
                      (double)end <= by->until[found];
        if (client) endpoint = by->owner[found];
        if (here || client) inbound = i < MOST_ENDS;
    }
    if (endpoint < 0) {
        to->other++;
        return SETTLED;
    }
    int64_t width = by->interfaces + 1;
    int64_t span = record->rejected * width + (record->own < 0 ? by->interfaces : record->own);
    if (by->tangled[span]) return KNOTTY;
    if ((double)start < by->begin[span] || (double)start >= by->end[span]) {
        to->duplicate++;
        return SETTLED;
    }
    if ((double)start < by->first_seen) {
        to->before_start++;
        return SETTLED;
    }
    if (by->delivered - (double)end > by->lookback) {
        to->late++;
        return SETTLED;
    }
    bool client = record->own < 0;
    int64_t *sums = to->sums + ((endpoint * 2 + client) * 2 + record->rejected) * SUMS;
    Token from = {NULL, 0};
    if (inbound >= 0) from = record->peers[!inbound];
    int64_t port = inbound == 1 ? record->target_port : record->source_port;
    if (inbound < 0 || port >= PORTS) port = -1;
    /* First whether there is room, so that a record is counted once. */
    if (sums[SUM_PACKETS] > INT64_MAX - LARGEST || sums[SUM_BYTES] > INT64_MAX - LARGEST)
        return NO_ROOM;
    if (record->rejected) {
        if (to->rejected_count == to->rejected_room || to->text_room - to->text_size < from.length)
            return NO_ROOM;
        int64_t *row = to->rejected + to->rejected_count++ * REJECTED_COLUMNS;
        row[ENDPOINT] = endpoint;
        row[INBOUND] = inbound;
        row[CLIENT] = client;
        row[OF_PROTOCOL] = record->protocol < PROTOCOLS ? record->protocol : -1;
        row[OF_PORT] = port;
        /* Other protocols have 0 for flags, which says nothing of them. */
        bool told = record->protocol == TCP || (record->protocol < 0 && record->flags > 0);
        row[OF_FLAGS] = told && record->flags >= 0 ? record->flags & (SYN | ACK) : -1;
        row[ENDED] = end;
        row[FROM] = to->text_size;
        row[FROM_LENGTH] = from.length;
        if (from.length) memcpy(to->text + to->text_size, from.at, (size_t)from.length);
        to->text_size += from.length;
        sums[REFUSED_CONNECTIONS] += record->flags > 0 && (record->flags & (SYN | ACK)) == SYN;
    } else if (!client && port >= 0) {
        int64_t protocol = record->protocol < 0 || record->protocol >= PROTOCOLS
                               ? PROTOCOLS
                               : record->protocol;
        int64_t key = endpoint << 32 | protocol << 16 | port;
        int64_t *seen = to->seen + ((key ^ key >> 29) & (JUST_SEEN - 1));
        if (*seen != key) {
            if (to->ports_count == to->ports_room) return NO_ROOM;
            to->ports[to->ports_count++] = key;
            *seen = key;
        }
    }
    if (!record->rejected && !client && from.length > 0 && from.length < CLIENT_TEXT)
        meet(to->clients + 2 * endpoint + inbound, from, hash_of(from, to->salt), end);
    sums[RECORDS]++;
    sums[TELL_PACKETS] += record->packets >= 0;
    sums[SUM_PACKETS] += record->packets < 0 ? 0 : record->packets;
    sums[TELL_BYTES] += record->size >= 0;
    sums[SUM_BYTES] += record->size < 0 ? 0 : record->size;
    to->counted++;
    return SETTLED;
}

#endif
