//! Which tables are exported, imported and deleted with an org.

use mt_core::pg::portable::Inventory;

/// Returns the policy for each of the product's tables. A table without one stops exports, imports and deletions by
/// operators, and fails a test.
pub fn inventory() -> Inventory {
    Inventory::library()
        .schema("app")
        .without_tenant("app.schema_migrations", "which versions are applied")
        .export("app.projects")
        .export("app.tasks")
}
