//! The ready-made endpoints that the server mounts: all but projects, tasks and exports.

use mt_core::pg::{self, Database};
use mt_http::{
    AuditLog, Billing, EndpointOptions, EndpointService, Endpoints, Guards, Invites, Jobs, Members,
    Noun, Operators, Roles, ServiceAccounts, SignIn, Tenants, WebhookEvents, Webhooks,
};

use crate::http::guard::in_our_words;
use crate::model::{
    ApiKeys, ApiKeysManage, ApiKeysRead, AuditRead, BillingManage, BillingRead, InvitesCreate,
    InvitesRead, InvitesRevoke, MembersAssign, MembersRead, MembersRemove, OrgDelete, OrgRead,
    OrgUpdate, Product, Seats, ServiceAccountsManage, ServiceAccountsRead,
};
use crate::product::ACTIONS;

/// What the product calls its tenants.
pub(crate) const ORG: Noun = Noun::new("org", "orgs");

/// Returns the endpoints, with those of operators if there is a token for them.
#[must_use]
pub(crate) fn endpoints(has_operators: bool) -> Endpoints<Product> {
    let endpoints = Endpoints::new(ORG)
        .mount(SignIn)
        .mount(Tenants {
            read: OrgRead,
            update: OrgUpdate,
            delete: OrgDelete,
            usage: Product::usage(),
        })
        .mount(Members { read: MembersRead, assign: MembersAssign, remove: MembersRemove })
        // Who gives members their roles also makes roles.
        .mount(Roles { read: MembersRead, write: MembersAssign })
        .mount(Invites {
            read: InvitesRead,
            create: InvitesCreate,
            revoke: InvitesRevoke,
            seats: Seats,
        })
        .mount(ServiceAccounts { read: ServiceAccountsRead, manage: ServiceAccountsManage })
        .mount(mt_http::ApiKeys { read: ApiKeysRead, manage: ApiKeysManage, keys: ApiKeys })
        .mount(Billing { read: BillingRead, manage: BillingManage })
        .mount(Webhooks)
        .mount(AuditLog { read: AuditRead, actions: ACTIONS });
    if !has_operators {
        return endpoints;
    }
    endpoints.mount(Operators).mount(Jobs).mount(WebhookEvents)
}

/// Returns the endpoints as a service, which refuses in the server's words.
pub(crate) fn service(
    database: &Database,
    tenants: pg::Tenants<Product>,
    guards: Guards,
    options: EndpointOptions,
    has_operators: bool,
) -> EndpointService<Product> {
    let options = options.reject(in_our_words);
    endpoints(has_operators).into_service(database, tenants, guards, options)
}

#[cfg(test)]
mod tests {
    use super::endpoints;

    #[test]
    fn without_a_token_there_are_no_routes_for_operators() {
        let count = |has_operators| {
            let routes = endpoints(has_operators).routes();
            routes.iter().filter(|route| route.path.starts_with("/admin")).count()
        };
        assert_eq!((count(false), count(true)), (0, 8));
    }
}
