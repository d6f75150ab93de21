# sources.cmake - the one file list, for CMake, ESP-IDF and firmware makefiles.
#
# Plain set()s, one path a line, relative to the project's root. A makefile reads a list with
#
#     sed -n '/^set(MIDGE_BASE_SOURCES$/,/^)/s/^ *\(.*\.c\)$/\1/p' cmake/sources.cmake

set(MIDGE_BASE_SOURCES
    src/base/arena.c
    src/base/list.c
    src/base/map.c
    src/base/mem.c
    src/base/reader.c
    src/base/slice.c
    src/base/timer.c
    src/base/utf8.c
    src/base/writer.c
)

set(MIDGE_CODEC_SOURCES
    src/codec/ack.c
    src/codec/connect.c
    src/codec/control.c
    src/codec/frame.c
    src/codec/props.c
    src/codec/publish.c
    src/codec/reason.c
    src/codec/subscribe.c
)

set(MIDGE_STATE_SOURCES
    src/state/alias.c
    src/state/inflight.c
    src/state/msg.c
    src/state/queue.c
    src/state/retain.c
    src/state/session.c
    src/state/shared.c
    src/state/subtree.c
    src/state/topic.c
    src/state/will.c
)

set(MIDGE_BROKER_SOURCES
    src/broker/broker.c
    src/broker/conn.c
    src/broker/connack.c
    src/broker/deliver.c
    src/broker/durable.c
    src/broker/expire.c
    src/broker/inside.c
    src/broker/limits.c
    src/broker/local.c
    src/broker/login.c
    src/broker/look.c
    src/broker/names.c
    src/broker/on_ack.c
    src/broker/on_connect.c
    src/broker/on_publish.c
    src/broker/on_subscribe.c
    src/broker/quota.c
    src/broker/replay.c
    src/broker/restore.c
    src/broker/route.c
    src/broker/sys.c
    src/broker/takeover.c
)

set(MIDGE_CLIENT_SOURCES
    src/client/client.c
    src/client/connect.c
    src/client/outbox.c
    src/client/pull.c
    src/client/relay.c
)

# Layers that need no library. TLS is apart: CMakeLists.txt.
set(MIDGE_NET_SOURCES
    net/layer.c
    net/proxy.c
    net/sha1.c
    net/ws.c
    net/ws_upgrade.c
)

# Bridges: a client of two brokers at once, above include/midge.
set(MIDGE_BRIDGE_SOURCES
    plug/bridge/bridge.c
    plug/bridge/map.c
    plug/bridge/near.c
    plug/bridge/relay.c
)

set(MIDGE_POSIX_SOURCES
    ports/posix/dial.c
    ports/posix/link.c
    ports/posix/listen.c
    ports/posix/log.c
    ports/posix/log_event.c
    ports/posix/loop.c
    ports/posix/memory.c
    ports/posix/pool.c
    ports/posix/postbox.c
    ports/posix/psk.c
    ports/posix/settings.c
    ports/posix/sock.c
    ports/posix/uplink.c
)

# Answers to the broker's questions, from files; the second list needs OpenSSL.
set(MIDGE_PLUG_SOURCES
    plug/acl_file.c
    plug/lines.c
    plug/topics.c
)
set(MIDGE_PLUG_CRYPTO_SOURCES
    plug/login_file.c
    plug/login_worker.c
    plug/password.c
)

# mosq_broker.h on the posix port, a library of its own: it serves TLS.
set(MIDGE_COMPAT_SOURCES
    ports/posix/mosq_broker.c
)

set(MIDGE_APP_SOURCES
    app/midge/bridges.c
    app/midge/conf.c
    app/midge/conf_bridge.c
    app/midge/conf_keys.c
    app/midge/conf_memory.c
    app/midge/conf_value.c
    app/midge/control.c
    app/midge/ctl.c
    app/midge/desk.c
    app/midge/doors.c
    app/midge/hooks.c
    app/midge/inside.c
    app/midge/limits.c
    app/midge/logs.c
    app/midge/main.c
    app/midge/metrics.c
    app/midge/near.c
    app/midge/notify.c
    app/midge/numbers.c
    app/midge/options.c
    app/midge/process.c
    app/midge/serve.c
    app/midge/topics.c
    app/midge/words.c
)

set(MIDGE_BENCH_SOURCES
    bench/midge-bench/bench.c
    bench/midge-bench/buffer.c
    bench/midge-bench/client.c
    bench/midge-bench/feed.c
    bench/midge-bench/flow.c
    bench/midge-bench/histogram.c
    bench/midge-bench/idle.c
    bench/midge-bench/ledger.c
    bench/midge-bench/link.c
    bench/midge-bench/main.c
    bench/midge-bench/matching.c
    bench/midge-bench/offline.c
    bench/midge-bench/options.c
    bench/midge-bench/payload.c
    bench/midge-bench/probe.c
    bench/midge-bench/report.c
    bench/midge-bench/retained.c
    bench/midge-bench/wire.c
    bench/midge-bench/workload.c
    bench/midge-bench/ws.c
)
