"""A log record means the same in protobuf, which is read by hand, as in JSON."""

from google.protobuf.json_format import MessageToJson
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from app.core.foreign import Hints
from app.sources.intake import frame
from app.sources.intake.otlp import PROTOBUF, OtlpLogs
from tests.builders import NOW

NAMES = (
    "error.type", "error.code", "exception.type", "exception.message", "enduser.id", "user.id",
    "http.response.status_code", "http.status_code", "url.full", "server.address", "host.id",
    "sextant.service", "sextant.client", "sextant.region", "user_agent.original", "log.record.uid",
)  # fmt: skip
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
plain = st.one_of(
    words.map(lambda v: AnyValue(string_value=v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
    st.sampled_from([0.0, 1.5, 503.0]).map(lambda v: AnyValue(double_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    st.just(AnyValue()),
    st.binary(max_size=4).map(lambda v: AnyValue(bytes_value=v)),
)


def listed(inner):
    return st.lists(inner, max_size=2).map(lambda many: AnyValue(array_value={"values": many}))


values = st.recursive(plain, listed, max_leaves=4)
attributes = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6)
records = st.tuples(
    st.integers(0, 2**63), st.sampled_from([0, 1, 12, 13, 17, 21]), values, attributes
)


@settings(max_examples=40)
@given(st.lists(records, max_size=3), attributes)
def test_protobuf_and_json_say_the_same(made, origin):
    message = ExportLogsServiceRequest()
    outer = message.resource_logs.add()
    outer.resource.attributes.extend([KeyValue(key=key, value=value) for key, value in origin])
    inner = outer.scope_logs.add()
    for at, severity, body, facts in made:
        record = inner.log_records.add(time_unix_nano=at, severity_number=severity, body=body)
        record.attributes.extend([KeyValue(key=key, value=value) for key, value in facts])
    packed = OtlpLogs().read(
        message.SerializeToString(), hints=Hints(received_as=PROTOBUF), now=NOW
    )
    written = OtlpLogs().read(MessageToJson(message).encode(), hints=Hints(), now=NOW)
    assert packed == written


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(allow_nan=False), st.none()))
def test_a_word_is_one_printable_line(value):
    found = frame.word(value)
    assert found is None or (found.isprintable() and found == " ".join(found.split(" ")))
    assert (found is None) == (
        not "".join(c for c in " ".join(str(value).split()) if c.isprintable()) or value is None
    )
