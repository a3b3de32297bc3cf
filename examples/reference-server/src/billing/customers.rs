use std::time::Duration;

use mt_core::id::TenantId;
use serde::Deserialize;

use crate::config::Secret;

const ENDPOINT: &str = "https://api.stripe.com/v1/customers";
const PATIENCE: Duration = Duration::from_secs(10);

/// Who makes customers: Stripe, or without a key nobody.
#[derive(Clone, Debug)]
pub(super) struct Customers {
    key: Option<Secret>,
    http: reqwest::Client,
    endpoint: String,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

impl Customers {
    pub(super) fn new(key: Option<Secret>) -> Self {
        Self { key, http: reqwest::Client::new(), endpoint: ENDPOINT.to_owned() }
    }

    /// Makes the customer of `org`. Asking again makes no second one: Stripe keeps the answer under
    /// the idempotency key, and whoever keeps the link asks once.
    pub(super) async fn make(&self, org: TenantId) -> Result<String, CustomerError> {
        let simple = org.as_uuid().simple();
        let Some(key) = &self.key else { return Ok(format!("cus_dev_{simple}")) };
        let answer = self
            .http
            .post(&self.endpoint)
            .timeout(PATIENCE)
            .bearer_auth(key.reveal())
            .header("idempotency-key", format!("mt-customer-{simple}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("metadata[org_id]={org}"))
            .send()
            .await
            .map_err(|error| CustomerError::Unreachable(error.without_url()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(CustomerError::Refused(status.as_u16()));
        }
        let made: Made =
            answer.json().await.map_err(|error| CustomerError::Unreachable(error.without_url()))?;
        Ok(made.id)
    }
}

/// Why there is no customer. For the log; a client is told to try again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CustomerError {
    /// Stripe said no.
    #[error("stripe answered {0} when asked for a customer")]
    Refused(u16),
    /// Stripe did not answer, or not in time, or not in JSON.
    #[error("stripe could not be asked for a customer")]
    Unreachable(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn without_a_key_the_name_is_the_orgs() {
        let org = TenantId::generate();
        let made = Customers::new(None).make(org).await.unwrap();
        assert_eq!(made, format!("cus_dev_{}", org.as_uuid().simple()));
    }

    #[tokio::test]
    async fn with_a_key_stripe_is_asked_once_per_org() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stripe = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"id\":\"cus_123\"}";
            socket.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap().to_lowercase()
        });
        let org = TenantId::generate();
        let customers = Customers {
            endpoint: format!("http://{address}/v1/customers"),
            ..Customers::new(Some(Secret::new("sk_test_x")))
        };
        assert_eq!(customers.make(org).await.unwrap(), "cus_123");
        let request = stripe.await.unwrap();
        assert!(request.contains("authorization: bearer sk_test_x"), "{request}");
        let key = format!("idempotency-key: mt-customer-{}", org.as_uuid().simple());
        assert!(request.contains(&key), "{request}");

        // Nobody listens any more; the error does not say where.
        let error = customers.make(org).await.unwrap_err();
        assert!(matches!(&error, CustomerError::Unreachable(_)), "{error}");
    }
}
