/* ws_upgrade.h - the HTTP request that begins a WebSocket, read a line at a time, and its answer; for either side. */
#ifndef MIDGE_NET_WS_UPGRADE_H
#define MIDGE_NET_WS_UPGRADE_H

#include "net/ws.h"

#define MIDGE_UPGRADE_LINE 512u /* a longer header is cut, and refused if it is one that matters */
#define MIDGE_UPGRADE_KEY 24u

/* Lives from the first byte of the request to the last of its answer. */
struct midge_upgrade {
    const struct midge_ws_options *options;
    uint32_t bytes;      /* of the request, so far */
    uint16_t line_len;
    uint8_t seen;        /* bits: what the request had so far */
    uint8_t refusal;     /* 0 = none */
    bool has_request;    /* its first line */
    bool is_cut;         /* the line is longer than MIDGE_UPGRADE_LINE */
    bool is_over;        /* `line` is the answer now */
    bool is_client;      /* reads the answer, `line` is the request while `asks` */
    bool asks;
    char key[MIDGE_UPGRADE_KEY];
    char line[MIDGE_UPGRADE_LINE];
};

void midge_upgrade_init(struct midge_upgrade *u, const struct midge_ws_options *options);

/* The client's side. False: host and path are too long. */
bool midge_upgrade_ask(struct midge_upgrade *u, const struct midge_ws_request *request);

/* Reads up to the end of the request and says how much of the bytes that was. Then u->is_over, and the answer is
 * u->line[0..line_len-1]: 101, or why not. */
size_t midge_upgrade_feed(struct midge_upgrade *u, const uint8_t *bytes, size_t n);

/* Static text; NULL: not refused. */
const char *midge_upgrade_refusal(const struct midge_upgrade *u);

#endif
