//! Who makes the customers that pay for orgs.

use mt_core::id::TenantId;
use serde::Deserialize;

use super::stripe_api::{StripeApi, StripeApiError};

/// Makes customers: Stripe does, or without a key nobody.
#[derive(Clone, Debug)]
pub(super) struct Customers {
    api: Option<StripeApi>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

impl Customers {
    pub(super) const fn new(api: Option<StripeApi>) -> Self {
        Self { api }
    }

    /// Makes the customer of `org`. Asking again makes no second one: Stripe keeps the answer under
    /// the idempotency key, and whoever keeps the link asks once.
    pub(super) async fn make(&self, org: TenantId) -> Result<String, StripeApiError> {
        let simple = org.as_uuid().simple();
        let Some(api) = &self.api else { return Ok(format!("cus_dev_{simple}")) };
        let (key, id) = (format!("mt-customer-{simple}"), org.to_string());
        let made: Made = api.post(&["customers"], &key, &[("metadata[org_id]", &id)]).await?;
        Ok(made.id)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Secret;

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
            let mut requests = Vec::new();
            for (status, body) in
                [("200 OK", r#"{"id":"cus_123"}"#), ("402 x", r#"{"error":{"code":"no_money"}}"#)]
            {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = socket.read(&mut request).await.unwrap();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
                let length_of = format!("content-length: {}\r\n\r\n{body}", body.len());
                socket.write_all((head + &length_of).as_bytes()).await.unwrap();
                requests.push(String::from_utf8(request[..length].to_vec()).unwrap());
            }
            requests
        });
        let org = TenantId::generate();
        let base = Url::parse(&format!("http://{address}")).unwrap();
        let customers =
            Customers::new(Some(StripeApi::new(Secret::new("sk_test_x"), base).unwrap()));
        assert_eq!(customers.make(org).await.unwrap(), "cus_123");
        let refused = customers.make(org).await.unwrap_err();
        assert_eq!(refused.to_string(), "stripe answered 402 (no_money)");
        let request = stripe.await.unwrap().remove(0);
        assert!(request.starts_with("POST /v1/customers HTTP/1.1\r\n"), "{request}");
        let request = request.to_lowercase();
        assert!(request.contains("authorization: bearer sk_test_x"), "{request}");
        let key = format!("idempotency-key: mt-customer-{}", org.as_uuid().simple());
        assert!(request.contains(&key), "{request}");

        // Nobody listens any more; the error does not say where.
        let error = customers.make(org).await.unwrap_err();
        assert!(matches!(&error, StripeApiError::Unreachable(_)), "{error}");
    }
}
