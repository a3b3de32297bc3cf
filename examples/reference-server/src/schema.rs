//! The schema that this version of the server requires: the library's `mt` and the product's `app`.

use mt_core::pg::audit::{Audit, Rule};
use mt_core::pg::{Migration, ProductSchema};
use sqlx::migrate::Migrator;

/// The product's migrations.
static PRODUCT: Migrator = sqlx::migrate!("./migrations");

/// The product's schema, for tests and for [`migration`].
#[must_use]
pub fn product() -> ProductSchema<'static> {
    ProductSchema { name: "app", migrator: &PRODUCT }
}

/// Returns the migrations that `mt-server migrate` runs.
#[must_use]
pub fn migration() -> Migration<'static> {
    Migration::library().with_product(product())
}

/// Returns the audit of both schemas, with the exceptions of the product.
pub fn audit() -> Audit {
    Audit::library().schema("app").except(
        Rule::TenantMissing,
        "app.schema_migrations",
        "which versions are applied",
    )
}
