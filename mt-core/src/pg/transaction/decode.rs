use crate::text_enum::TextEnum;

/// Decodes the text of an enum. A text that this version does not know is an error, not a missing row.
pub(in crate::pg) fn variant<T: TextEnum>(
    column: &'static str,
    text: &str,
) -> Result<T, sqlx::Error> {
    T::parse(text)
        .map_err(|source| sqlx::Error::ColumnDecode { index: column.into(), source: source.into() })
}
