"""test_trouble.py - a network that fails, strangers that flood, a program that goes astray."""
import asyncio
import socket

from conftest import TIMEOUT_S, wait_stats
from paho_client import Client
from wire_client import Client as Wire
from wire_client import PlainV5

FLOOD = 150


def connect_all(board, ids, **options):
    """Clients that are all subscribed to one topic and have got a message."""
    clients = [Client(board, i, **options).connect() for i in ids]
    for c in clients:
        c.subscribe(ids[0])
    clients[0].publish(ids[0], b"hello", 1)
    for c in clients:
        assert c.payloads(1) == [b"hello"]
    return clients


def test_link_down_reclaims_ghosts_and_link_up_brings_clients_back(board, name):
    ids = [f"{name}-{i}" for i in range(8)]
    ghosts = connect_all(board, ids, keepalive=2)
    before = wait_stats(board, lambda s: s["heap"] == 0, "all is acknowledged")
    board.link(up=False)
    try:
        ghosts[0].send(ids[0], b"into the dark", 1)
        wait_stats(board, lambda s: s["clients"] == 0 and s["sockets"] == 0, "ghosts reclaimed by their keep alive")
    finally:
        board.link(up=True)
    back = connect_all(board, ids)
    wait_stats(board, lambda s: s["clients"] == 8 and s["used"] <= before["used"], "nothing is left of the ghosts")
    for c in ghosts + back:
        c.close()


def test_short_outage_loses_nothing(board, name):
    sub, pub = Client(board, name + "-s").connect(), Client(board, name + "-p").connect()
    sub.subscribe(name, qos=2)
    board.link(up=False)
    for i in range(8):
        pub.send(name, b"%d" % i, 2)
    board.link(up=True)
    assert sub.payloads(8) == [b"%d" % i for i in range(8)]
    sub.close()
    pub.close()


async def ring(board, name, count, rounds, between):
    """Clients that hand a message around, `rounds` times; `between` runs before each."""
    arrived = asyncio.Queue()
    clients = [Wire(f"{name}-{i}", lambda topic, payload, i=i: arrived.put_nowait(i)) for i in range(count)]
    for i, c in enumerate(clients):
        await c.connect(board.host, board.port)
        await c.subscribe(f"{name}/{i}")
    for _ in range(rounds):
        between()
        for i, c in enumerate(clients):
            c.publish(f"{name}/{(i + 1) % count}", b"round")
        got = [await asyncio.wait_for(arrived.get(), TIMEOUT_S) for _ in clients]
        assert sorted(got) == list(range(count))
    assert not any(c.ended.is_set() for c in clients)
    for c in clients:
        await c.disconnect()


def test_connection_flood_leaves_the_others_alone(board, name):
    strangers = []

    def flood():
        for _ in range(FLOOD // 10):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((board.host, board.port))
            strangers.append(s)

    asyncio.run(ring(board, name, 12, 10, flood))
    late = Client(board, name + "-late").connect()  # while they all still hang there
    late.publish(name, b"served", 1)
    late.close()
    for s in strangers:
        s.close()
    wait_stats(board, lambda s: s["sockets"] == 0, "the strangers are gone")


async def fan_out(board, name, count, rounds, size):
    """A message to many at once, `rounds` times."""
    got = asyncio.Queue()
    clients = [Wire(f"{name}-{i}", lambda topic, payload, i=i: got.put_nowait((i, payload))) for i in range(count)]
    for c in clients:
        await c.connect(board.host, board.port)
        await c.subscribe(name)
    for r in range(rounds):
        payload = bytes([r]) * size
        clients[0].publish(name, payload)
        for _ in range(count):
            assert (await asyncio.wait_for(got.get(), TIMEOUT_S))[1] == payload
    for c in clients:
        await c.disconnect()


def test_more_subscribers_than_lwip_has_memory_for_all_get_a_message(board, name):
    asyncio.run(fan_out(board, name, count=40, rounds=5, size=500))
    assert board.stats()["heap_max_size"] < 40 * 500


def test_a_broker_without_memory_goes_on_serving_and_recovers(board, name):
    before = wait_stats(board, lambda s: s["sockets"] == 0 and s["sessions"] == 0, "nobody is there")
    for i in range(6):
        away = Client(board, f"{name}-{i}", clean=False, SessionExpiryInterval=600).connect()
        away.subscribe(f"{name}/{i}", qos=1)
        away.disconnect()
    pub = Client(board, name + "-p").connect()
    for _ in range(30):
        mids = [pub.send(f"{name}/{i}", b"x" * 350, 1) for i in range(6)]  # more than a closed window takes
        pub.wait(lambda: pub.published.issuperset(mids), "each is taken, or refused with 0x97, if after a pause")
    full = board.stats()
    assert full["refused"] > 0 and full["used"] < full["arena"], full
    pub.subscribe(name)  # small things go on
    late = Client(board, name + "-late").connect()
    late.close()
    for i in range(6):
        Client(board, f"{name}-{i}").connect().disconnect()  # a clean start discards what was kept
    pub.publish(name, b"room again", 1)
    assert pub.payloads(1) == [b"room again"]
    pub.close()
    after = wait_stats(board, lambda s: s["sockets"] == 0 and s["sessions"] == 0, "nobody is there")
    assert after["used"] <= before["used"] + 64  # the map of client ids has grown


def test_shutdown_tells_every_client(own_board, name):
    clients = [PlainV5(own_board, f"{name}-{i}", TIMEOUT_S) for i in range(5)]
    own_board.command("q")
    assert [c.last_word() for c in clients] == [0x8B] * 5
    own_board.stop()


def test_stray_access_ends_the_program(own_board):
    own_board.command("f")
    assert own_board.wait_end() == 3
    own_board.wait_line(r"^fault ")


def test_stack_overflow_ends_the_program(own_board):
    own_board.command("o")
    assert own_board.wait_end() == 3
    own_board.wait_line(r"^fault: stack overflow")
