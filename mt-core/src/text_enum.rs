//! Enums with a text form: roles, plans, permissions, statuses.
//!
//! [`text_enum!`](crate::text_enum!) declares the enum and the text of each variant in one place. The same text is
//! stored in the database, sent in responses and printed in tables.

use std::fmt;

/// An enum in which each variant has one text form.
///
/// Declare one with [`text_enum!`](crate::text_enum!).
///
/// # Example
///
/// ```
/// use mt_core::text_enum::TextEnum;
///
/// fn names<T: TextEnum>() -> Vec<&'static str> {
///     T::ALL.iter().map(|variant| variant.as_str()).collect()
/// }
///
/// mt_core::text_enum! {
///     enum Role { Owner = "owner", Member = "member" }
/// }
/// assert_eq!(names::<Role>(), ["owner", "member"]);
/// ```
pub trait TextEnum: Copy + fmt::Debug + Eq + Send + Sync + 'static {
    /// Every variant, in the order of declaration.
    const ALL: &'static [Self];

    /// Returns the variant's text.
    fn as_str(self) -> &'static str;

    /// Returns the variant with exactly this text.
    ///
    /// # Errors
    ///
    /// [`UnknownVariant`] when no variant has this text. Its message lists the texts that exist.
    fn parse(text: &str) -> Result<Self, UnknownVariant> {
        Self::ALL
            .iter()
            .copied()
            .find(|variant| variant.as_str() == text)
            .ok_or_else(|| UnknownVariant::new::<Self>(text))
    }
}

/// The error of [`TextEnum::parse`]: no variant has the text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown variant `{text}`, expected one of: {}", known.join(", "))]
pub struct UnknownVariant {
    text: String,
    known: Vec<&'static str>,
}

impl UnknownVariant {
    fn new<T: TextEnum>(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            known: T::ALL.iter().map(|variant| variant.as_str()).collect(),
        }
    }
}

/// Declares an enum and the text of each of its variants, and implements
/// [`TextEnum`](crate::text_enum::TextEnum) for it.
///
/// The enum derives `Clone`, `Copy`, `Debug`, `Eq`, `Hash` and `PartialEq`; write further derives, attributes and
/// docs on it as on any enum. A variant without a text and a text that two variants share do not compile.
///
/// # Example
///
/// ```
/// use mt_core::text_enum::TextEnum as _;
///
/// mt_core::text_enum! {
///     /// A tenant's plan.
///     pub enum Plan {
///         /// Up to three projects.
///         Free = "free",
///         /// Any number of projects.
///         Team = "team",
///     }
/// }
///
/// assert_eq!(Plan::Team.as_str(), "team");
/// assert_eq!(Plan::parse("team"), Ok(Plan::Team));
/// assert_eq!(
///     Plan::parse("gold").unwrap_err().to_string(),
///     "unknown variant `gold`, expected one of: free, team",
/// );
/// ```
#[macro_export]
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident $(= $text:literal)?),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        $visibility enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $crate::text_enum::TextEnum for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $crate::text_enum!(@text $variant $($text)?),)+
                }
            }
        }

        const _: () = assert!(
            $crate::text_enum::are_distinct(&[$($($text,)?)+]),
            concat!("two variants of `", stringify!($name), "` have the same text"),
        );
    };
    (@text $variant:ident $text:literal) => { $text };
    (@text $variant:ident) => {
        compile_error!(concat!(
            "`", stringify!($variant), "` has no text: write `", stringify!($variant), " = \"…\"`"
        ))
    };
}

/// Returns whether no two of the texts are the same. A part of [`text_enum!`](crate::text_enum!).
#[doc(hidden)]
#[must_use]
pub const fn are_distinct(texts: &[&str]) -> bool {
    let mut first = 0;
    while first < texts.len() {
        let mut second = first + 1;
        while second < texts.len() {
            if same_bytes(texts[first].as_bytes(), texts[second].as_bytes()) {
                return false;
            }
            second += 1;
        }
        first += 1;
    }
    true
}

const fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}
