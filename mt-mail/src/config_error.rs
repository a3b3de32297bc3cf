//! Errors in the settings of mail.

/// An error in a mail setting. The texts call the settings `MAIL_FROM` and `SMTP_URL`, and do not repeat their values.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MailConfigError {
    /// The sender's address cannot be used.
    #[error("`MAIL_FROM` must be an address, or `Name <address>`")]
    From,
    /// The URL of the mail server cannot be used.
    #[error(
        "`SMTP_URL` must be `smtps://user:password@host:465`, `smtp://…:587?tls=required` or \
         `smtp://host:25`"
    )]
    Url,
}
