/* conf_bridge.c - the keys of bridges, which stand below a `connection` line: rows like those of conf_keys.c. */
#include "conf.h"

#define BRIDGE(key)                                                                                          \
    {                                                                                                        \
        key, .scope = CONF_BRIDGE, .standing = CONF_REFUSED, .words = "", .unset = "",                       \
             .help = "Midge makes no bridges yet; leave the block out, and let the other broker bridge to "  \
                     "this one"                                                                              \
    }

const struct conf_key conf_bridge_keys[] = {
    BRIDGE("connection"),      BRIDGE("address"),
    BRIDGE("addresses"),       BRIDGE("bridge_*"),
    BRIDGE("cleansession"),    BRIDGE("clientid"),
    BRIDGE("idle_timeout"),    BRIDGE("keepalive_interval"),
    BRIDGE("local_*"),         BRIDGE("notification_topic"),
    BRIDGE("notifications"),   BRIDGE("notifications_local_only"),
    BRIDGE("password"),        BRIDGE("remote_*"),
    BRIDGE("restart_timeout"), BRIDGE("round_robin"),
    BRIDGE("start_type"),      BRIDGE("threshold"),
    BRIDGE("topic"),           BRIDGE("try_private"),
    BRIDGE("username"),
};
const size_t conf_bridge_key_count = sizeof conf_bridge_keys / sizeof *conf_bridge_keys;
