//! The schema that this version of the server expects: the library's `mt` and the product's `app`.

use mt_core::pg::{Migration, ProductSchema};
use sqlx::migrate::Migrator;

/// The product's migrations.
static PRODUCT: Migrator = sqlx::migrate!("./migrations");

/// The product's schema, for tests and for [`migration`].
#[must_use]
pub fn product() -> ProductSchema<'static> {
    ProductSchema { name: "app", migrator: &PRODUCT }
}

/// What `mt-server migrate` runs.
#[must_use]
pub fn migration() -> Migration<'static> {
    Migration::library().with_product(product())
}
