//! Whose ids fill the slots of a path and a body.

use uuid::Uuid;

use super::call::{Call, Party};
use super::routes::Route;

/// Whose id fills a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    /// The caller's own.
    Own,
    /// The other tenant's.
    Foreign,
    /// Nobody's: made up for this call.
    Nobodys,
}

/// One way to fill the slots of a route.
#[derive(Clone, Debug)]
pub(super) struct Mix(Vec<(&'static str, Whose)>);

impl Mix {
    /// Every way to fill `slots`.
    pub(super) fn all(slots: &[&'static str]) -> Vec<Self> {
        let mut mixes = vec![Self(Vec::new())];
        for slot in slots {
            mixes = mixes
                .into_iter()
                .flat_map(|mix| {
                    [Whose::Own, Whose::Foreign, Whose::Nobodys].map(|whose| {
                        let mut longer = mix.clone();
                        longer.0.push((slot, whose));
                        longer
                    })
                })
                .collect();
        }
        mixes
    }

    /// Whether every slot is filled with the caller's own.
    pub(super) fn is_own(&self) -> bool {
        self.0.iter().all(|(_, whose)| *whose == Whose::Own)
    }

    /// Whether some slot is filled with the other tenant's.
    pub(super) fn is_foreign(&self) -> bool {
        self.0.iter().any(|(_, whose)| *whose == Whose::Foreign)
    }

    /// The same with nobody's ids in place of foreign ones.
    pub(super) fn without_foreign(&self) -> Self {
        Self(
            self.0
                .iter()
                .map(|(slot, whose)| match whose {
                    Whose::Foreign => (*slot, Whose::Nobodys),
                    kept => (*slot, *kept),
                })
                .collect(),
        )
    }

    /// The call, and what each slot was filled with.
    pub(super) fn call(
        &self,
        route: &Route,
        caller: &Party,
        other: &Party,
        bearer: &str,
    ) -> (Call, Vec<(&'static str, Uuid)>) {
        let mut path = route.template.clone();
        let mut body = route.body.map(str::to_owned);
        let mut filled = Vec::new();
        for (slot, whose) in &self.0 {
            let id = match whose {
                Whose::Own => caller.fill(slot),
                Whose::Foreign => other.fill(slot),
                Whose::Nobodys => None,
            };
            let id = id.unwrap_or_else(Uuid::now_v7);
            let place = format!("{{{slot}}}");
            path = path.replace(&place, &id.to_string());
            body = body.map(|body| body.replace(&place, &id.to_string()));
            filled.push((*slot, id));
        }
        (Call { method: route.method, path, bearer: bearer.to_owned(), body }, filled)
    }
}
