"""test_hostile.py - peers that mean harm, each among ten bystanders (see conftest.py: what `scene` demands at the end)."""
import socket
import struct
import time

from wire import ack, connect, packet, parse_publish, publish, subscribe

GOOD = {"user": "user", "password": "pass"}


# ---- before CONNECT


def test_connects_that_never_finish(scene):
    big = packet(0x10, bytes(60_000))
    for _ in range(300):
        scene.stranger(big[:30_000])


def test_a_byte_now_and_then(scene):
    slow = [scene.stranger() for _ in range(140)]
    hello = connect("slow", **GOOD)
    for byte in hello[:-1]:
        for c in slow:
            if c:
                c.try_send(bytes([byte]))


def test_a_flood_of_connections_that_say_nothing(scene):
    for i in range(2000):  # ten times the limit
        scene.stranger(address=f"127.0.1.{i % 20 + 1}")


def test_a_first_packet_that_is_not_connect_and_claims_to_be_large(scene):
    for first in (0x30, 0x20, 0x82, 0xF0, 0x00):
        c = scene.stranger(bytes([first, 0xFF, 0xFF, 0xFF, 0x7F]) + bytes(1000))
        assert c is None or c.is_closed()


# ---- places


def test_the_longest_keep_alive_on_every_slot(scene):
    held = 0
    for i in range(400):
        c = scene.stranger(connect(f"idle {i}", keepalive=65535, **GOOD))
        try:
            held += bool(c and c.next(5))
        except TimeoutError:
            pass
    assert 100 <= held <= 150  # its address's share, and no more


def test_reconnect_storms(scene):
    for _ in range(5):
        clients = [scene.stranger(connect(f"storm {i}", clean=False, **GOOD)) for i in range(140)]
        for c in clients:
            if c:
                c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                c.close()


def test_one_client_id_again_and_again(scene):
    for i in range(500):
        c = scene.stranger(connect("same", clean=i % 2 == 0, **GOOD) + subscribe(["x/#"]) + publish("x", b"1", 1))
        if c and i % 5 == 0:
            c.close()


def test_fresh_client_ids_that_leave_sessions_behind(scene):
    for i in range(3000):
        c = scene.stranger(connect(f"fresh {i}", clean=False, **GOOD) + subscribe([f"left/{i}"]))
        if c:
            c.next()
            c.close()


# ---- who does not read


def test_readers_that_never_read(scene):
    for i in range(20):
        scene.guest(f"deaf {i}").send(subscribe(["flood/#"], qos=i % 2))
    writer = scene.guest("writer")
    for i in range(4000):
        if not writer.try_send(publish("flood/x", bytes(2000), i % 2, i % 60000 + 1)):
            break
    time.sleep(0.5)


def test_a_subscriber_to_everything_with_a_tiny_window(scene):
    c = scene.stranger(connect("tiny", version=5, props=b"\x21\x00\x01", **GOOD))
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    c.send(subscribe(["#"], 2, props=b""))
    time.sleep(2)


def test_answers_are_not_read(scene):
    c = scene.guest("pinger")
    c.s.settimeout(0.5)
    for _ in range(200):
        if not c.try_send(packet(0xC0) * 5000):
            break


# ---- lies


def test_acknowledgements_for_what_was_never_sent(scene):
    for first in (0x40, 0x50, 0x62, 0x70):
        c = scene.guest("liar")
        for pid in range(1, 2000):
            if not c.try_send(ack(first, pid)):
                break


def test_packet_ids_used_again(scene):
    c = scene.guest("again")
    c.send(subscribe(["again"], 2))
    for i in range(3000):
        if not c.try_send(publish("again", b"x", 1 + i % 2, 7, dup=i % 3 == 0)):
            break
    scene.guest("again")  # and its session is in order


def test_qos_2_that_is_never_released(scene):
    c = scene.guest("never")
    for pid in range(1, 65536):
        if not c.try_send(publish("never", b"", 2, pid)):
            break


def test_lengths_announced_and_not_sent(scene):
    for i in range(140):
        c = scene.stranger(connect(f"much {i}", **GOOD))
        if c and c.next():
            c.try_send(bytes([0x30, 0xFF, 0xFF, 0xFF, 0x7F]) + text_of_topic())


def test_half_of_a_large_packet_from_every_client_at_once(scene):
    clients = [scene.stranger(connect(f"half {i}", **GOOD)) for i in range(140)]
    for c in clients:
        if c and c.next():
            c.s.settimeout(0.2)
            c.try_send(publish("half", bytes(1_000_000), 1)[:500_000])


def text_of_topic():
    return struct.pack(">H", 1) + b"t" + bytes(500)


# ---- floods


def test_topics_of_100_levels_by_the_thousand(scene):
    deep = "/".join("abcdefghij"[i % 10] for i in range(99))
    c = scene.guest("deep")
    for i in range(2000):
        c.send(publish(f"{deep}/{i}", b"x", 0, retain=True) + subscribe([f"{deep}/{i}"], pid=i + 1))
    c.ping()


def test_a_flood_of_retained_messages(scene):
    c = scene.guest("keeper")
    for i in range(40_000):
        if not c.try_send(publish(f"kept/{i}", bytes(1000), 0, retain=True)):
            break


def test_a_flood_of_subscriptions_on_fresh_topics(scene):
    c = scene.guest("subscriber")
    for i in range(0, 60_000, 100):
        if not c.try_send(subscribe([f"fresh/{i + k}/+/{'x' * 50}/#" for k in range(100)], pid=i // 100 + 1)):
            break


def test_publishing_to_a_full_broker(scene):
    away = scene.guest("away", clean=False)
    away.send(subscribe(["full/#"]))
    away.expect(9)
    away.close()
    taken = refused = 0
    for round_ in range(100):
        c = scene.stranger(connect("filler", version=5, **GOOD))
        if not c or c.next() is None:
            continue
        for i in range(300):
            if not c.try_send(publish(f"full/{round_}/{i}", bytes(20_000), 1, i + 1, props=b"", retain=True)):
                break
            got = c.next()
            if got is None or got[0] == 0xE0:
                break
            refused += len(got[1]) > 2 and got[1][2] >= 0x80
            taken += 1
        c.close()
        if refused > 100:
            break
    assert taken > 100 and refused


def test_many_overlapping_wildcards(scene):
    c = scene.guest("overlap")
    levels = 12
    filters = ["/".join("+" if mask >> i & 1 else "a" for i in range(levels)) for mask in range(1 << levels)]
    for i in range(0, len(filters), 256):
        c.send(subscribe(filters[i:i + 256], 0, pid=i + 1))
    for _ in range(20):
        c.send(publish("/".join("a" * levels)))
    got = 0
    while got < 20:  # 3.1.1: one copy a message is what this broker sends
        first, body = c.next()
        if first >> 4 == 3:
            assert parse_publish(first, body)[0].decode() == "/".join("a" * levels)
            got += 1
