"""test_paho_v5.py - paho-mqtt over 5.0: what only that version has."""
import collections
import itertools

import pytest
from paho.mqtt.client import SubscribeOptions
from paho_client import V5, V31, V311, Client

NEVER = 0xFFFFFFFF


@pytest.fixture
def client(broker, name):
    """client("a"): a connected client whose id is the test's name and "a"; keywords may be CONNECT properties."""
    made = []

    def make(suffix, connect=True, **how):
        made.append(Client(broker, f"{name}-{suffix}", **how))
        return made[-1].connect() if connect else made[-1]

    yield make
    for c in made:
        c.close()


@pytest.fixture
def broker_seconds(client, name):
    """broker_seconds(N): at least N seconds pass on the broker's own clock, told by a delayed will."""
    counter = itertools.count()

    def wait(seconds):
        n = next(counter)
        topic = f"{name}/clock/{n}"
        ear = client(f"ear{n}")
        ear.subscribe(topic)
        clock = client(f"clock{n}", SessionExpiryInterval=NEVER, will=will(topic, WillDelayInterval=seconds))
        clock.vanish()
        ear.wait_messages(1)

    return wait


def will(topic, payload=b"gone", qos=1, retain=False, **props):
    from paho_client import properties

    return {
        "topic": topic,
        "payload": payload,
        "qos": qos,
        "retain": retain,
        "properties": properties("WILLMESSAGE", **props),
    }


def prop(message, name, default=None):
    return getattr(message.properties, name, default)


# ---- CONNECT and CONNACK


def test_an_id_is_assigned(broker):
    a, b = Client(broker, "").connect(), Client(broker, "").connect()
    ids = {c.connack["props"].AssignedClientIdentifier for c in (a, b)}
    assert len(ids) == 2 and all(ids)
    a.disconnect()
    b.disconnect()


def test_an_assigned_id_can_be_used_again(broker):
    first = Client(broker, "", SessionExpiryInterval=NEVER).connect()
    assigned = first.connack["props"].AssignedClientIdentifier
    first.disconnect()
    again = Client(broker, assigned, clean=False).connect()
    assert again.connack["present"] and not hasattr(again.connack["props"], "AssignedClientIdentifier")
    again.disconnect()


def test_connack_grants_topic_aliases(client):
    assert client("c").connack["props"].TopicAliasMaximum > 0


def test_an_authentication_method_is_refused(client):
    c = client("c", connect=False, AuthenticationMethod="SCRAM-SHA-1").try_connect()
    assert c.connack["code"] == 0x8C


def test_sessions_expire(client, name, broker_seconds):
    client("short", SessionExpiryInterval=1).disconnect()
    client("long", SessionExpiryInterval=1000).disconnect()
    broker_seconds(2)
    assert not client("short", clean=False).connack["present"]
    assert client("long", clean=False).connack["present"]


def test_without_expiry_a_session_ends_with_its_connection(client):
    client("c").disconnect()
    assert not client("c", clean=False).connack["present"]


def test_disconnect_changes_the_expiry(client):
    client("c", SessionExpiryInterval=1000).disconnect(SessionExpiryInterval=0)
    assert not client("c", clean=False).connack["present"]
    client("d", SessionExpiryInterval=1).disconnect(SessionExpiryInterval=1000)
    assert client("d", clean=False).connack["present"]


def test_a_takeover_is_told(client):
    old, new = client("c"), client("c")
    assert old.wait_disconnected() == 0x8E
    new.expect_nothing_else()


# ---- wills


def test_a_delayed_will_comes(client, name):
    watcher = client("watcher")
    watcher.subscribe(name)
    client("mortal", SessionExpiryInterval=NEVER, will=will(name, WillDelayInterval=1)).vanish()
    assert watcher.payloads(1) == [b"gone"]


def test_a_delayed_will_is_dropped_when_the_client_is_back(client, name, broker_seconds):
    watcher = client("watcher")
    watcher.subscribe(name)
    client("mortal", SessionExpiryInterval=NEVER, will=will(name, WillDelayInterval=1)).vanish()
    back = client("mortal", clean=False, SessionExpiryInterval=NEVER)
    assert back.connack["present"]
    broker_seconds(2)
    watcher.expect_nothing_else()


def test_a_will_does_not_outwait_its_session(client, name):
    watcher = client("watcher")
    watcher.subscribe(name)
    client("mortal", SessionExpiryInterval=0, will=will(name, WillDelayInterval=3600)).vanish()
    assert watcher.payloads(1) == [b"gone"]


def test_a_will_carries_its_properties(client, name):
    watcher = client("watcher")
    watcher.subscribe(name)
    client(
        "mortal",
        will=will(
            name,
            ContentType="text/plain",
            ResponseTopic="answer/here",
            CorrelationData=b"\0\xff",
            PayloadFormatIndicator=1,
            MessageExpiryInterval=77,
            UserProperty=[("a", "1"), ("a", "2")],
        ),
    ).vanish()
    [m] = watcher.wait_messages(1)
    assert prop(m, "ContentType") == "text/plain" and prop(m, "ResponseTopic") == "answer/here"
    assert prop(m, "CorrelationData") == b"\0\xff" and prop(m, "PayloadFormatIndicator") == 1
    assert prop(m, "MessageExpiryInterval") <= 77 and prop(m, "UserProperty") == [("a", "1"), ("a", "2")]


def test_a_client_can_leave_with_its_will(client, name):
    watcher = client("watcher")
    watcher.subscribe(name)
    client("leaver", will=will(name)).disconnect(reason=0x04)
    assert watcher.payloads(1) == [b"gone"]


# ---- properties of a message


def test_all_properties_arrive(client, name):
    sub, pub = client("sub"), client("pub")
    sub.subscribe(name)
    user = [("z", "last"), ("a", "1"), ("a", "2"), ("", ""), ("ключ", "значение"), ("z", "last")]
    pub.publish(
        name,
        "grüß",
        qos=1,
        PayloadFormatIndicator=1,
        ContentType="text/plain; charset=utf-8",
        ResponseTopic="answers/42",
        CorrelationData=bytes(range(256)),
        MessageExpiryInterval=1000,
        UserProperty=user,
    )
    [m] = sub.wait_messages(1)
    assert prop(m, "UserProperty") == user
    assert prop(m, "PayloadFormatIndicator") == 1 and prop(m, "ContentType") == "text/plain; charset=utf-8"
    assert prop(m, "ResponseTopic") == "answers/42" and prop(m, "CorrelationData") == bytes(range(256))
    assert 0 < prop(m, "MessageExpiryInterval") <= 1000


def test_a_message_without_properties_gets_none(client, name):
    c = client("c")
    c.subscribe(name)
    c.publish(name, b"plain", qos=1)
    assert c.wait_messages(1)[0].properties.isEmpty()


def test_retained_messages_keep_their_properties(client, name):
    client("pub").publish(
        name, b"kept", qos=1, retain=True, ContentType="x", UserProperty=[("b", "2"), ("a", "1")]
    )
    sub = client("sub")
    sub.subscribe(name)
    [m] = sub.wait_messages(1)
    assert (prop(m, "ContentType"), prop(m, "UserProperty")) == ("x", [("b", "2"), ("a", "1")])
    sub.publish(name, b"", qos=1, retain=True)


@pytest.mark.parametrize("old", [V31, V311])
def test_older_clients_get_the_message_alone(broker, client, name, old):
    sub = Client(broker, name + "-old", old).connect()
    sub.subscribe(name)
    client("pub").publish(
        name, b"bare", qos=1, ContentType="x", UserProperty=("a", "b"), MessageExpiryInterval=9
    )
    assert sub.payloads(1) == [b"bare"]
    sub.disconnect()


def test_message_expiry_is_counted_down(client, name, broker_seconds):
    sleeper = client("sleeper", SessionExpiryInterval=NEVER)
    sleeper.subscribe(name)
    sleeper.disconnect()
    pub = client("pub")
    pub.publish(name, b"lasts", qos=1, MessageExpiryInterval=1000)
    pub.publish(name, b"expires", qos=1, MessageExpiryInterval=1)
    pub.publish(name, b"stays", qos=1)
    broker_seconds(2)
    lasts, stays = client("sleeper", clean=False).wait_messages(2)
    assert (lasts.payload, stays.payload) == (b"lasts", b"stays")
    assert 0 < prop(lasts, "MessageExpiryInterval") <= 998
    assert prop(stays, "MessageExpiryInterval") is None


def test_retained_messages_expire(client, name, broker_seconds):
    pub = client("pub")
    pub.publish(name + "/short", b"short", qos=1, retain=True, MessageExpiryInterval=1)
    pub.publish(name + "/long", b"long", qos=1, retain=True, MessageExpiryInterval=1000)
    broker_seconds(2)
    sub = client("sub")
    sub.subscribe(name + "/#")
    [m] = sub.wait_messages(1)
    assert m.payload == b"long" and prop(m, "MessageExpiryInterval") <= 998
    sub.expect_nothing_else()
    pub.publish(name + "/long", b"", qos=1, retain=True)


def test_request_and_response(client, name):
    responder, requester = client("responder"), client("requester")
    responder.subscribe(name + "/request")
    requester.subscribe(name + "/response")
    for i in range(20):
        requester.send(
            name + "/request", b"%d" % i, qos=1, ResponseTopic=name + "/response", CorrelationData=b"id%d" % i
        )
    for m in responder.wait_messages(20):
        responder.send(
            prop(m, "ResponseTopic"), m.payload * 2, qos=1, CorrelationData=prop(m, "CorrelationData")
        )
    answers = {prop(m, "CorrelationData"): m.payload for m in requester.wait_messages(20)}
    assert answers == {b"id%d" % i: b"%d%d" % (i, i) for i in range(20)}


# ---- topic aliases


def test_aliases_of_a_publisher(client, name):
    sub, pub = client("sub"), client("pub")
    sub.subscribe(name + "/#")
    maximum = pub.connack["props"].TopicAliasMaximum
    for alias in (1, 2, maximum):
        pub.send(f"{name}/{alias}", b"set", qos=1, TopicAlias=alias)
    for alias in (maximum, 1, 2, 1):
        pub.send("", b"used", qos=2, TopicAlias=alias)
    pub.send(f"{name}/other", b"set again", TopicAlias=1)
    pub.publish("", b"used again", qos=1, TopicAlias=1)
    want = [(str(a), b"set") for a in (1, 2, maximum)] + [(str(a), b"used") for a in (maximum, 1, 2, 1)]
    want += [("other", b"set again"), ("other", b"used again")]
    got = [(m.topic[len(name) + 1 :], m.payload) for m in sub.wait_messages(len(want))]
    assert sorted(got) == sorted(want)  # paho shows a QoS 2 message late
    assert all(prop(m, "TopicAlias") is None for m in sub.messages)


@pytest.mark.parametrize("alias", ["maximum + 1", "unknown"])
def test_a_wrong_alias_ends_the_connection(client, name, alias):
    c = client("c")
    c.send(
        name if alias != "unknown" else "",
        b"",
        qos=0,
        TopicAlias=c.connack["props"].TopicAliasMaximum + 1 if alias != "unknown" else 1,
    )
    assert c.wait_disconnected() in (0x94, 0x82)


def test_aliases_towards_a_subscriber(client, name):
    sub = client("sub", TopicAliasMaximum=2)
    sub.subscribe(name + "/#", qos=1)
    pub = client("pub")
    topics = [f"{name}/{i}" for i in (0, 0, 1, 0, 1, 2, 2, 3, 0, 1, 2, 3, 3, 3)]
    for topic in topics:
        pub.send(topic, topic, qos=1)
    names, aliased = {}, 0
    for m in sub.wait_messages(len(topics)):
        alias = prop(m, "TopicAlias")
        assert alias in (None, 1, 2)
        if m.topic and alias:
            names[alias] = m.topic
        aliased += not m.topic
        assert (m.topic or names[alias]) == m.payload.decode()
    assert aliased >= 3  # the last topic twice, the one before at least once


def test_no_alias_without_permission(client, name):
    sub = client("sub")
    sub.subscribe(name)
    for _ in range(3):
        sub.publish(name, b"x", qos=1)
    assert all(m.topic == name and prop(m, "TopicAlias") is None for m in sub.wait_messages(3))


# ---- subscription options


def test_no_local(client, name):
    c, other = client("c"), client("other")
    c.subscribe(name, options=SubscribeOptions(qos=1, noLocal=True))
    c.publish(name, b"own", qos=1)
    other.publish(name, b"other's", qos=1)
    assert c.payloads(1) == [b"other's"]
    c.expect_nothing_else()


def test_retain_as_published(client, name):
    plain, kept, pub = client("plain"), client("kept"), client("pub")
    plain.subscribe(name, options=SubscribeOptions(qos=1))
    kept.subscribe(name, options=SubscribeOptions(qos=1, retainAsPublished=True))
    pub.publish(name, b"r", qos=1, retain=True)
    pub.publish(name, b"n", qos=1, retain=False)
    assert [m.retain for m in plain.wait_messages(2)] == [False, False]
    assert [m.retain for m in kept.wait_messages(2)] == [True, False]
    pub.publish(name, b"", qos=1, retain=True)


def test_retain_handling(client, name):
    client("pub").publish(name, b"kept", qos=1, retain=True)
    always, once, never = client("always"), client("once"), client("never")
    for handling, c in enumerate((always, once, never)):
        c.subscribe(name, options=SubscribeOptions(qos=1, retainHandling=handling))
        c.subscribe(name, options=SubscribeOptions(qos=1, retainHandling=handling))
    assert always.payloads(2) == [b"kept", b"kept"]
    assert once.payloads(1) == [b"kept"]
    for c in (always, once, never):
        c.expect_nothing_else()
    always.publish(name, b"", qos=1, retain=True)


def test_subscription_identifiers(client, name):
    c = client("c")
    c.subscribe(name + "/#", qos=1, SubscriptionIdentifier=7)
    c.subscribe(name + "/+", qos=2, SubscriptionIdentifier=268435455)
    c.subscribe(name + "/plain", qos=0)
    c.publish(name + "/x", b"two", qos=2)
    [m] = c.wait_messages(1)
    assert (sorted(m.properties.SubscriptionIdentifier), m.qos) == ([7, 268435455], 2)
    c.publish(name + "/x/y", b"one", qos=1)
    assert c.wait_messages(1)[0].properties.SubscriptionIdentifier == [7]
    c.subscribe(name + "/#", qos=1, SubscriptionIdentifier=9)
    c.publish(name + "/x/y", b"replaced", qos=1)
    assert c.wait_messages(1)[0].properties.SubscriptionIdentifier == [9]
    c.subscribe(name + "/#", qos=1)
    c.publish(name + "/x/y", b"without", qos=1)
    assert not hasattr(c.wait_messages(1)[0].properties, "SubscriptionIdentifier")
    c.expect_nothing_else()


def test_retained_messages_come_with_the_identifier(client, name):
    c = client("c")
    c.publish(name, b"kept", qos=1, retain=True)
    c.subscribe(name, qos=1, SubscriptionIdentifier=3)
    assert c.wait_messages(1)[0].properties.SubscriptionIdentifier == [3]
    c.publish(name, b"", qos=1, retain=True)


def test_no_copy_of_another_subscribers_identifier(client, name):
    a, b = client("a"), client("b")
    a.subscribe(name, SubscriptionIdentifier=1)
    b.subscribe(name)
    a.publish(name, b"x", qos=1)
    assert a.wait_messages(1)[0].properties.SubscriptionIdentifier == [1]
    assert not hasattr(b.wait_messages(1)[0].properties, "SubscriptionIdentifier")


# ---- shared subscriptions


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_group_shares_fairly(client, name, qos):
    members = [client(f"m{i}") for i in range(3)]
    alone = client("alone")
    alone.subscribe(name + "/+", qos=qos)
    for m in members:
        m.subscribe(f"$share/group/{name}/+", qos=qos)
    pub = client("pub")
    sent = [b"%d" % i for i in range(90)]
    for payload in sent:
        pub.publish(name + "/x", payload, qos=qos)
    assert alone.payloads(90) == sent
    shares = [m.payloads(30) for m in members]
    for m in members:
        m.expect_nothing_else()
    assert sorted(itertools.chain(*shares), key=int) == sent
    assert all(share == sorted(share, key=int) for share in shares)


def test_two_groups_each_get_all(client, name):
    members = {group: [client(f"{group}{i}") for i in range(2)] for group in ("one", "two")}
    for group, pair in members.items():
        for m in pair:
            m.subscribe(f"$share/{group}/{name}", qos=1)
    pub = client("pub")
    for i in range(20):
        pub.send(name, b"%d" % i, qos=1)
    for pair in members.values():
        got = collections.Counter(itertools.chain(*(m.payloads(10) for m in pair)))
        assert got == collections.Counter(b"%d" % i for i in range(20))


def test_what_a_lost_member_had_goes_to_another(client, name):
    stuck, other = client("stuck"), client("other")
    for m in (stuck, other):
        m.subscribe(f"$share/group/{name}", qos=1)
    stuck.hold()
    pub = client("pub")
    for i in range(20):
        pub.publish(name, b"%d" % i, qos=1)
    stuck.wait(lambda: stuck.messages, "a message at the member that is stuck")
    stuck.paho.socket().shutdown(2)  # nothing of what it was sent is acknowledged, and its session ends
    stuck.release()
    assert sorted(other.payloads(20), key=int) == [b"%d" % i for i in range(20)]
    other.expect_nothing_else()


def test_a_group_waits_for_its_members(client, name):
    member = client("member", SessionExpiryInterval=NEVER)
    member.subscribe(f"$share/group/{name}", qos=1)
    member.disconnect()
    client("pub").publish(name, b"kept", qos=1)
    assert client("member", clean=False).payloads(1) == [b"kept"]


def test_a_group_gets_no_retained_messages(client, name):
    c = client("c")
    c.publish(name, b"kept", qos=1, retain=True)
    c.subscribe(f"$share/group/{name}", qos=1)
    c.expect_nothing_else()
    c.publish(name, b"", qos=1, retain=True)


def test_a_group_carries_identifiers(client, name):
    c = client("c")
    c.subscribe(f"$share/group/{name}", qos=1, SubscriptionIdentifier=5)
    c.publish(name, b"x", qos=1)
    assert c.wait_messages(1)[0].properties.SubscriptionIdentifier == [5]


def test_older_clients_share_too(broker, client, name):
    members = [Client(broker, f"{name}-{v}", v).connect() for v in (V31, V311, V5)]
    for m in members:
        m.subscribe(f"$share/group/{name}", qos=1)
    pub = client("pub")
    for i in range(9):
        pub.publish(name, b"%d" % i, qos=1)
    shares = [m.payloads(3) for m in members]
    assert sorted(itertools.chain(*shares)) == [b"%d" % i for i in range(9)]
    for m in members:
        m.disconnect()


# ---- limits that a client sets


def test_receive_maximum_of_one(client, name):
    slow = client("slow", ReceiveMaximum=1)
    slow.subscribe(name)
    pub = client("pub")
    sent = [b"%d" % i for i in range(100)]
    for payload in sent:
        pub.send(name, payload, qos=2)
    assert slow.payloads(100) == sent


def test_nothing_above_the_maximum_packet_size(client, name):
    small = client("small", MaximumPacketSize=200)
    small.subscribe(name, qos=1)
    pub = client("pub")
    pub.publish(name, b"x" * 300, qos=1)
    pub.publish(name, b"fits", qos=1, UserProperty=("a", "b"))
    [m] = small.wait_messages(1)
    assert m.payload == b"fits" and prop(m, "UserProperty") == [("a", "b")]
    small.expect_nothing_else()
