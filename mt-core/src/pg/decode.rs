use crate::word::Word;

/// Reads a stored word. A word that this version does not know is a broken row, not a missing one.
pub(super) fn word<W: Word>(column: &'static str, text: &str) -> Result<W, sqlx::Error> {
    W::parse(text)
        .map_err(|source| sqlx::Error::ColumnDecode { index: column.into(), source: source.into() })
}
