//! Deliveries of Stripe with one or a few mutations.

use chrono::DateTime;
use mt_stripe::signature::{MAX_HEADER_BYTES, MAX_SIGNATURES, sign};
use proptest::prelude::*;

pub(super) const SECRET: &str = "whsec_test_new_0123456789abcdef0123456789ab";
pub(super) const NOW: i64 = 1_795_449_600;
const BODY: &[u8] = br#"{"id": "evt_1", "type": "invoice.paid", "name": "Zo\u00eb"}"#;

/// A delivery and the moment at which it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) secret: String,
    pub(super) header: String,
    pub(super) body: Vec<u8>,
    pub(super) now: i64,
}

#[derive(Clone, Debug)]
enum Twist {
    /// Puts an element somewhere.
    Add(usize, String),
    /// Spells the time otherwise; signed as it is written, or as it was.
    Respell(fn(i64) -> String, bool),
    /// Says the time a second time.
    Repeat(usize, i64),
    /// Changes the tag.
    Retag(fn(&str) -> String),
    /// Many elements.
    Crowd(&'static str, usize),
    Rotate(usize),
    Clock(i64),
    Body(&'static [u8], bool),
    OtherSecret,
}

fn twist() -> impl Strategy<Value = Twist> {
    let select = |all: &[&'static str]| prop::sample::select(all.to_vec());
    let added = select(&[
        "",
        "x",
        "=",
        "v0=abab",
        "v2=00",
        "V1=00",
        " v1=00",
        "t2=1",
        "v1",
        "v1=",
        "v1=é",
        "v1=zz",
        "v1=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "v1=00=",
    ]);
    let spelled: Vec<fn(i64) -> String> = vec![
        |t| format!("+{t}"),
        |t| format!("0{t}"),
        |t| format!(" {t}"),
        |t| format!("{t} "),
        |t| format!("{t}.0"),
        |t| format!("{t}e0"),
        |t| format!("{t}abc"),
        |t| format!("{t}000"),
        |t| format!("{}_{}", t / 1000, t % 1000),
        |t| format!("{t}").chars().map(|c| if c == '1' { '\u{661}' } else { c }).collect(),
        |t| format!("{t}0000000000"),
        |t| format!("0x{t:x}"),
        |_| "-1".to_owned(),
        |_| "0".to_owned(),
        |_| String::new(),
        |_| "abc".to_owned(),
    ];
    let tags: Vec<fn(&str) -> String> = vec![
        |tag| tag.to_uppercase(),
        |tag| tag[..62].to_owned(),
        |tag| format!("{tag}00"),
        |tag| format!("{tag} "),
        |tag| format!("\"{tag}\""),
        |tag| format!("{tag}=junk"),
        |tag| tag.replacen(|c: char| c.is_ascii_digit(), "f", 1),
        |tag| tag.chars().rev().collect(),
    ];
    let clock = vec![-1000, -301, -300, -299, -1, 1, 299, 300, 301, 1000, 1_000_000];
    let bodies: Vec<&'static [u8]> = vec![
        b"",
        b"{}",
        b"{}\n",
        b"{}\r\n",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        "\u{e9}".as_bytes(),
    ];
    prop_oneof![
        4 => (0..4_usize, added).prop_map(|(at, text)| Twist::Add(at, text.to_owned())),
        3 => (prop::sample::select(spelled), any::<bool>()).prop_map(|(f, own)| Twist::Respell(f, own)),
        1 => (0..4_usize, -1..=1_i64).prop_map(|(at, off)| Twist::Repeat(at, off)),
        3 => prop::sample::select(tags).prop_map(Twist::Retag),
        1 => (select(&["v1=zz", "v1=00", "v0=ab"]), prop::sample::select(vec![15, 16, 17, 900]))
            .prop_map(|(text, count)| Twist::Crowd(text, count)),
        1 => (MAX_SIGNATURES - 2..MAX_SIGNATURES + 2).prop_map(|count| {
            const TAG: &str = "v1=00000000000000000000000000000000000000000000000000000000000000ff";
            Twist::Crowd(TAG, count)
        }),
        1 => (0..3_usize).prop_map(Twist::Rotate),
        3 => prop::sample::select(clock).prop_map(Twist::Clock),
        2 => (prop::sample::select(bodies), any::<bool>()).prop_map(|(body, own)| Twist::Body(body, own)),
        1 => Just(Twist::OtherSecret),
    ]
}

/// A delivery with up to two twists.
pub(super) fn case() -> impl Strategy<Value = Case> {
    prop::collection::vec(twist(), 0..3).prop_map(|twists| made(&twists))
}

fn made(twists: &[Twist]) -> Case {
    let (mut body, mut now, mut secret) = (BODY.to_vec(), NOW, SECRET);
    let (mut written, mut signed) = (NOW.to_string(), NOW.to_string());
    let mut signed_body = BODY.to_vec();
    for twist in twists {
        match twist {
            Twist::Respell(spell, own) => {
                written = spell(NOW);
                if *own {
                    signed.clone_from(&written);
                }
            }
            Twist::Clock(off) => now = NOW + off,
            Twist::Body(other, own) => {
                body = other.to_vec();
                if *own {
                    signed_body.clone_from(&body);
                }
            }
            Twist::OtherSecret => secret = "whsec_of_another_sender",
            _ => {}
        }
    }
    let mut tag = tag(&signed, &signed_body);
    for twist in twists {
        if let Twist::Retag(change) = twist {
            tag = if tag.len() == 64 { change(&tag) } else { tag };
        }
    }
    let mut elements = vec![format!("t={written}"), format!("v1={tag}")];
    for twist in twists {
        let end = elements.len();
        match twist {
            Twist::Add(at, text) => elements.insert(*at % (end + 1), text.clone()),
            Twist::Repeat(at, off) => elements.insert(at % (end + 1), format!("t={}", NOW + off)),
            Twist::Crowd(text, count) => {
                elements.extend(std::iter::repeat_n((*text).to_owned(), *count));
            }
            Twist::Rotate(by) => elements.rotate_left(by % end),
            _ => {}
        }
    }
    Case { secret: secret.to_owned(), header: elements.join(","), body, now }
}

/// The tag over a time that is written in any way.
fn tag(time: &str, body: &[u8]) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    let tag = hex::encode(mac.finalize().into_bytes());
    if time == NOW.to_string() {
        let at = DateTime::from_timestamp(NOW, 0).unwrap();
        assert!(sign(SECRET, body, at).ends_with(&tag));
    }
    tag
}

impl Case {
    /// The differences between this crate and Stripe's libraries that are meant, as far as this input
    /// can show one. What is refused here on purpose can be accepted there, and the other way round.
    pub(super) fn meant_differences(&self, accepted_here: bool) -> Vec<&'static str> {
        let elements: Vec<(&str, &str)> = self
            .header
            .split(',')
            .map(|element| element.split_once('=').unwrap_or((element, "")))
            .collect();
        let of = |name: &'static str| {
            elements.iter().filter(move |(found, _)| *found == name).map(|(_, value)| *value)
        };
        let plain = |text: &str| {
            let digits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            digits && (text == "0" || !text.starts_with('0'))
        };
        let is_tag = |text: &str| {
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let ahead = of("t").filter_map(|t| t.parse::<i64>().ok()).max().unwrap_or(0) - self.now;
        let no_text =
            std::str::from_utf8(&self.body).is_err() || self.body.starts_with(b"\xef\xbb\xbf");
        let too_much = self.header.len() > MAX_HEADER_BYTES
            || of("v1").filter(|v| is_tag(v)).count() > MAX_SIGNATURES;
        let can_be = if accepted_here {
            vec![
                ("no text", no_text),
                ("no tag beside a good one", of("v1").any(|v| v.is_empty() || !v.is_ascii())),
            ]
        } else {
            vec![
                ("another `=`", of("v1").any(|v| v.contains('='))),
                ("empty body", self.body.is_empty()),
                ("from the future", of("t").all(plain) && ahead > 300),
                ("not plain decimal", !of("t").all(plain)),
                ("too much", too_much),
                ("two `t`", of("t").count() > 1),
            ]
        };
        can_be.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
    }
}
