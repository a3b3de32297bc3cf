//! A tenant's name as emails show it.
//!
//! Members choose the name, and emails go to people who have never heard of the tenant. A name such as
//! `Your account: https://evil.example/login` would appear in the service's email, and mail programs turn addresses in
//! plain text into links. So an email shows a name of bounded length in which no program finds an address:
//!
//! * a dot before more text becomes `·`, so that `evil.example/login` and `www.evil.example` name no host, and no
//!   address of a person either;
//! * a colon before more text is followed by a space, so that `https://localhost/` and `tel:110` begin no URL;
//! * control characters become spaces, and those that turn the direction of text are left out.

/// The maximum length of a name in an email, in characters, the ellipsis included.
const MAX_CHARS: usize = 60;

/// Returns `name` without addresses and control characters, for a subject and a paragraph.
pub(crate) fn sanitize(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    let mut chars = name.chars().filter(|char| !changes_direction(*char)).peekable();
    while let Some(char) = chars.next() {
        let next = chars.peek().copied();
        let text_follows = next.is_some_and(|next| !ends_word(next));
        match char {
            '.' | '\u{2024}' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' if text_follows => {
                shown.push('·');
            }
            ':' | '\u{fe55}' | '\u{ff1a}' if next.is_some_and(|next| !is_space(next)) => {
                shown.push_str(": ");
            }
            char if is_break(char) => shown.push(' '),
            char => shown.push(char),
        }
    }
    shorten(shown)
}

/// Returns whether an address before `char` ends there. A slash and an `@` continue it.
fn ends_word(char: char) -> bool {
    is_space(char) || matches!(char, '.' | ',' | ';' | '!' | '?' | ')' | '"')
}

fn is_space(char: char) -> bool {
    char.is_whitespace() || is_break(char)
}

/// Services may refuse control characters in names; emails do not rely on that.
fn is_break(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// The controls of Unicode's bidirectional algorithm (UAX #9, §2), and characters of no width that may be put between
/// a dot and a host's name.
fn changes_direction(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

fn shorten(name: String) -> String {
    if name.chars().count() <= MAX_CHARS {
        return name;
    }
    let kept: String = name.chars().take(MAX_CHARS - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_unchanged() {
        for name in
            ["Acme Inc.", "St. Mary, Ltd.", "Ärzte ohne 国境", "R&D: Berlin", "10 % (new!)", "a/b"]
        {
            assert_eq!(sanitize(name), name);
        }
    }

    #[test]
    fn addresses_are_broken_up() {
        for (name, expected) in [
            ("https://evil.example/login", "https: //evil·example/login"),
            ("Pay at evil.example/x now", "Pay at evil·example/x now"),
            ("www.evil.example.", "www·evil·example."),
            ("eve@evil.example", "eve@evil·example"),
            ("http://127.0.0.1:8000/", "http: //127·0·0·1: 8000/"),
            ("http://[::1]/", "http: //[: : 1]/"),
            ("javascript:alert(1)", "javascript: alert(1)"),
            ("evil。example evil．example evil｡example", "evil·example evil·example evil·example"),
            ("evil.\u{200b}example evil\u{2060}.example", "evil·example evil·example"),
            ("evil..example", "evil.·example"),
            ("evil.日本", "evil·日本"),
            ("\u{202e}elpmaxe.live", "elpmaxe·live"),
            ("a\r\nBcc: eve@evil.example", "a  Bcc: eve@evil·example"),
        ] {
            assert_eq!(sanitize(name), expected, "{name}");
        }
    }

    #[test]
    fn long_names_are_shorten() {
        assert_eq!(sanitize(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(sanitize(&"é".repeat(61)), format!("{}…", "é".repeat(59)));
        assert_eq!(
            sanitize(&format!("{} b{}", "a".repeat(58), "c".repeat(9))),
            format!("{}…", "a".repeat(58))
        );
    }

    proptest::proptest! {
        /// No text that could continue an address follows a remaining dot or colon.
        #[test]
        fn no_name_keeps_an_address(name in "(\\PC|[.:/@a-z\u{200b}\u{202e}]){0,200}") {
            let shown = sanitize(&name);
            proptest::prop_assert!(shown.chars().count() <= MAX_CHARS);
            let chars: Vec<char> = shown.chars().collect();
            for pair in chars.windows(2) {
                let continues = match pair[0] {
                    '.' | '\u{2024}' | '。' | '．' | '｡' => !ends_word(pair[1]) && pair[1] != '·',
                    ':' | '\u{fe55}' | '：' => !is_space(pair[1]),
                    _ => false,
                };
                proptest::prop_assert!(!continues || pair[1] == '…', "{}", shown);
            }
        }
    }
}
