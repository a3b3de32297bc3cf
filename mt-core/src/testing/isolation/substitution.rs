//! Fills the slots of a route with ids of the caller, of another tenant, or of no tenant.

use super::fixture::{TenantFixture, unknown_like};
use super::request::TestRequest;
use super::route::Route;

/// The owner of the id that fills a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum IdOwner {
    /// The caller's tenant.
    Caller,
    /// Another tenant.
    Other,
    /// No tenant: the id is random.
    Unknown,
}

/// The owner of each slot's id, for one request.
#[derive(Clone, Debug)]
pub(super) struct Substitution(Vec<(&'static str, IdOwner)>);

impl Substitution {
    /// Fills every slot with an id of the caller's tenant.
    fn own(slots: &[&'static str]) -> Self {
        Self(slots.iter().map(|slot| (*slot, IdOwner::Caller)).collect())
    }

    /// Returns every combination in which at least one slot has an id of the other tenant.
    pub(super) fn with_other(slots: &[&'static str]) -> Vec<Self> {
        let mut all = vec![Self(Vec::new())];
        for slot in slots {
            let longer = |one: &Self, owner| Self([&one.0[..], &[(*slot, owner)]].concat());
            all = all
                .iter()
                .flat_map(|one| {
                    [IdOwner::Caller, IdOwner::Other, IdOwner::Unknown]
                        .map(|owner| longer(one, owner))
                })
                .collect();
        }
        all.retain(|one| one.0.iter().any(|(_, owner)| *owner == IdOwner::Other));
        all
    }

    /// Returns the substitution with random ids in place of the other tenant's.
    pub(super) fn with_unknown(&self) -> Self {
        let replace = |(slot, owner): &(_, IdOwner)| match owner {
            IdOwner::Other => (*slot, IdOwner::Unknown),
            kept => (*slot, *kept),
        };
        Self(self.0.iter().map(replace).collect())
    }

    /// Builds the request, and returns it with the id in each slot.
    pub(super) fn request(
        &self,
        route: &Route,
        caller: &TenantFixture,
        other: &TenantFixture,
        bearer: Option<&str>,
    ) -> (TestRequest, Vec<(&'static str, String)>) {
        let mut path = route.path.clone();
        let mut body = route.body.clone();
        let mut filled = Vec::new();
        for (slot, owner) in &self.0 {
            let id = match owner {
                IdOwner::Caller => caller.fill(slot),
                IdOwner::Other => other.fill(slot),
                IdOwner::Unknown => None,
            };
            let like = || other.fill(slot).or_else(|| caller.fill(slot)).unwrap_or_default();
            let id = id.unwrap_or_else(|| unknown_like(&like()));
            let place = format!("{{{slot}}}");
            path = path.replace(&place, &id);
            body = body.map(|body| {
                // JSON numbers have no quotes.
                let quoted = format!("\"{place}\"");
                let body = match id.parse::<i64>() {
                    Ok(_) => body.replace(&quoted, &id),
                    Err(_) => body,
                };
                body.replace(&place, &id)
            });
            filled.push((*slot, id));
        }
        let mut headers = Vec::new();
        if let Some(bearer) = bearer {
            headers.push(("authorization".to_owned(), format!("Bearer {bearer}")));
        }
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        (TestRequest { method: route.method.clone(), path, headers, body }, filled)
    }
}

/// Builds the request of a member to their own tenant.
pub(super) fn own_request(
    route: &Route,
    caller: &TenantFixture,
    bearer: Option<&str>,
) -> TestRequest {
    Substitution::own(&route.slots(caller, caller)).request(route, caller, caller, bearer).0
}
