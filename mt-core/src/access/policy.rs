//! A whole access model as a table.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;

use super::{AccessModel, Billing, Effect, Permission, PermissionEffect as _, Service};
use crate::member_policy::MemberPolicy;
#[cfg(feature = "postgres")]
use crate::pg::Resource;
use crate::text_enum::TextEnum as _;

/// A whole access model as a table: what each role and plan may do, what needs payment, and the caps.
///
/// Commit its text and compare the two in a test, so that a review sees what a change to the model means.
///
/// ```
/// mt_core::model! {
///     pub Notebook;
///     roles Role { Owner = "owner" (owner), Reader = "reader" }
///     plans Plan { Free = "free" (initial), Team = "team" }
///     permissions Action {
///         NotesRead = "notes.read"   [yes yes] [yes yes] exempt read;
///         NotesWrite = "notes.write" [yes no]  [yes yes] required write;
///     }
/// }
///
/// assert_eq!(
///     Notebook::policy().to_string(),
///     "\
/// permission   lapsed  effect  owner  reader  free  team
/// notes.read   yes     read    yes    yes     yes   yes
/// notes.write  402     write   yes    -       yes   yes
///
/// owner   may invite as: owner, reader
/// reader  may invite as: none
///
/// owner   may assign: owner, reader
/// reader  may assign: none
///
/// owner   may remove: owner, reader
/// reader  may remove: none
/// "
/// );
/// ```
#[must_use = "print it, or compare it with the committed table"]
pub struct Policy<M> {
    permissions: Vec<Vec<String>>,
    members: Vec<Vec<String>>,
    caps: Vec<Vec<String>>,
    services: Vec<Vec<String>>,
    model: PhantomData<fn() -> M>,
}

impl<M: MemberPolicy> Policy<M> {
    /// Creates a table without rows.
    pub fn of() -> Self {
        Self {
            permissions: vec![titles::<M>(&["permission", "lapsed", "effect"], true)],
            members: Vec::new(),
            caps: Vec::new(),
            services: Vec::new(),
            model: PhantomData,
        }
    }

    /// Adds a row: whether an unpaid tenant keeps `P`, its effect, and the roles and plans that have it.
    pub fn permission<P: Permission<Model = M>>(mut self) -> Self {
        let lapsed = match P::BILLING {
            Billing::Exempt => "yes",
            Billing::Required => "402",
        };
        let effect = match P::Effect::VALUE {
            Effect::Read => "read",
            Effect::Write => "write",
        };
        let mark = |yes: bool| if yes { "yes" } else { "-" };
        let roles = M::Role::ALL.iter().map(|role| mark(M::role_grants(*role, P::KEY)));
        let plans = M::Plan::ALL.iter().map(|plan| mark(M::plan_includes(*plan, P::KEY)));
        let row = [P::KEY.as_str(), lapsed, effect].into_iter().chain(roles).chain(plans);
        self.permissions.push(row.map(str::to_owned).collect());
        self
    }

    /// Adds which role may invite, assign and remove which.
    pub fn members(mut self) -> Self {
        for (title, rule) in [
            ("may invite as", M::may_invite as fn(M::Role, M::Role) -> bool),
            ("may assign", |by, role| M::may_assign(by, role, role)),
            ("may remove", M::may_remove),
        ] {
            for by in M::Role::ALL {
                let roles = M::Role::ALL.iter().filter(|role| rule(*by, **role));
                let roles: Vec<_> = roles.map(|role| role.as_str()).collect();
                let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
                self.members.push(vec![by.as_str().to_owned(), format!("{title}: {roles}")]);
            }
        }
        self
    }

    /// Adds a service and the permissions that it is declared with.
    pub fn service<S: Service<Model = M>>(mut self, permissions: &[M::Permission]) -> Self {
        if self.services.is_empty() {
            self.services.push(["service", "permissions"].map(str::to_owned).to_vec());
        }
        let permissions: Vec<_> = permissions.iter().map(|key| key.as_str()).collect();
        self.services.push(vec![S::NAME.to_owned(), permissions.join(", ")]);
        self
    }

    /// Adds the cap on `R` of each plan.
    #[cfg(feature = "postgres")]
    pub fn cap<R: Resource<Model = M>>(mut self) -> Self {
        if self.caps.is_empty() {
            self.caps.push(titles::<M>(&["cap"], false));
        }
        let caps = M::Plan::ALL.iter().map(|plan| R::cap(*plan));
        let caps = caps.map(|cap| cap.map_or_else(|| "-".to_owned(), |cap| cap.to_string()));
        self.caps.push(std::iter::once(R::NAME.to_owned()).chain(caps).collect());
        self
    }
}

/// The first line of a table with a column for each role, if there are some, and each plan.
fn titles<M: AccessModel>(first: &[&str], roles: bool) -> Vec<String> {
    let roles = M::Role::ALL.iter().filter(|_| roles).map(|role| role.as_str());
    let plans = M::Plan::ALL.iter().map(|plan| plan.as_str());
    first.iter().copied().chain(roles).chain(plans).map(str::to_owned).collect()
}

impl<M> fmt::Display for Policy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.permissions)?;
        let roles = self.members.len() / 3;
        for rule in self.members.chunks(roles.max(1)).chain([&self.caps[..], &self.services[..]]) {
            if !rule.is_empty() {
                writeln!(f)?;
                write_table(f, rule)?;
            }
        }
        Ok(())
    }
}

/// Writes rows in columns of equal width, without blanks at the end.
fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            write!(line, "{cell:<width$}  ")?;
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

impl<M> fmt::Debug for Policy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
