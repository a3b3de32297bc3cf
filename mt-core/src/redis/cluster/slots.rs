//! Slots of keys and their owners, after the Redis Cluster specification, as pure functions.

use redis::Value;

/// The number of slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);

/// Returns the slot of a key.
pub(super) fn slot_of(key: &str) -> u16 {
    CRC.checksum(tag(key).as_bytes()) % SLOTS
}

/// Returns the text in the first pair of braces, or the whole key if there is none.
fn tag(key: &str) -> &str {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// The address of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Parses the `host:port` of a redirection by the node at `asked`. Without a host it means that node's. An
    /// IPv6 address has no brackets there.
    pub(super) fn of_redirection(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        Some(Self { host: named(host, asked)?, port })
    }
}

/// The slots from the first to the second, and their owner.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Range {
    pub(super) slots: (u16, u16),
    pub(super) owner: Address,
}

/// Parses the answer of the node at `asked` to `CLUSTER SLOTS`. Replicas are skipped, because a count is a write;
/// malformed ranges and nodes without an address are skipped too.
pub(super) fn ranges(answer: &Value, asked: &Address) -> Vec<Range> {
    let Value::Array(ranges) = answer else { return Vec::new() };
    ranges.iter().filter_map(|range| read(range, asked)).collect()
}

fn read(range: &Value, asked: &Address) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = parts.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = owner.as_slice() else { return None };
    let host = match host {
        Value::Nil => "",
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        _ => return None,
    };
    let slots = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    let owner = Address { host: named(host, asked)?, port: u16::try_from(*port).ok()? };
    (slots.0 <= slots.1 && slots.1 < SLOTS).then_some(Range { slots, owner })
}

/// An empty host means the one that was asked, and `?` one that is not known.
fn named(host: &str, asked: &Address) -> Option<String> {
    match host {
        "?" => None,
        "" => Some(asked.host.clone()),
        host => Some(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    /// Slots that a server gave (`CLUSTER KEYSLOT`).
    #[test]
    fn slots_are_those_of_a_server() {
        for (key, slot) in [
            ("123456789", 12739),
            ("", 0),
            ("foo", 12182),
            ("{foo}.a", 12182),
            ("mt:rl:{foo}", 12182),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("foo{bar", 15278),
            ("}{foo}", 12182),
        ] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }

    #[test]
    fn redirections_may_leave_the_host_out() {
        let asked = at("10.0.0.1", 6379);
        let read = |text| Address::of_redirection(text, &asked);
        assert_eq!(read("10.0.0.2:7000"), Some(at("10.0.0.2", 7000)));
        assert_eq!(read(":7000"), Some(at("10.0.0.1", 7000)));
        assert_eq!(read("fd00::2:7000"), Some(at("fd00::2", 7000)));
        assert_eq!(read("redis-2.example:7000"), Some(at("redis-2.example", 7000)));
        for text in ["", "10.0.0.2", "?:7000", "10.0.0.2:", "10.0.0.2:70000"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"an id".to_vec())])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
    }

    #[test]
    fn ranges_name_their_masters() {
        let asked = at("10.0.0.1", 7001);
        let answer = Value::Array(vec![
            range(0, 99, vec![node(text("10.0.0.2"), 7002), node(text("10.0.0.3"), 7003)]),
            range(100, 100, vec![node(text(""), 7004)]),
            range(101, 16_383, vec![node(Value::Nil, 7005)]),
        ]);
        let found: Vec<_> =
            ranges(&answer, &asked).into_iter().map(|range| (range.slots, range.owner)).collect();
        assert_eq!(
            found,
            [
                ((0, 99), at("10.0.0.2", 7002)),
                ((100, 100), at("10.0.0.1", 7004)),
                ((101, 16_383), at("10.0.0.1", 7005)),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let good = || node(text("10.0.0.2"), 7002);
        for odd in [
            Value::Nil,
            Value::Array(vec![]),
            range(0, 99, vec![]),
            range(99, 0, vec![good()]),
            range(-1, 0, vec![good()]),
            range(0, 16_384, vec![good()]),
            range(0, 99, vec![node(text("?"), 7002)]),
            range(0, 99, vec![node(text("10.0.0.2"), 70_000)]),
            range(0, 99, vec![node(Value::BulkString(vec![0xff]), 7002)]),
            range(0, 99, vec![Value::Array(vec![text("10.0.0.2")])]),
        ] {
            let answer = Value::Array(vec![odd.clone(), range(5, 5, vec![good()])]);
            let found = ranges(&answer, &at("10.0.0.1", 7001));
            assert_eq!(found.len(), 1, "{odd:?}");
            assert_eq!(found[0].slots, (5, 5), "{odd:?}");
        }
        assert_eq!(ranges(&Value::Okay, &at("10.0.0.1", 7001)), []);
    }
}
