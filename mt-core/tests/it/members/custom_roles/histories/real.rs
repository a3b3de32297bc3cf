//! The same steps on a database.

use mt_core::auth::Principal;
use mt_core::id::RoleId;
use mt_core::pg::invites::{AcceptError, InviteError};
use mt_core::pg::roles::{MemberRole, RoleError};
use mt_core::pg::{BeginError, MemberError};
use mt_core::text_enum::TextEnum;

use super::super::{Fixture, Role, TeamManage};
use super::model::{Given, Step, Told};
use super::{Held, PEOPLE, ROLES};

/// A database with four users.
pub(super) struct Real {
    fixture: Fixture,
    people: [Principal; PEOPLE],
}

/// A tenant of three of them.
pub(super) struct Shop<'r> {
    fixture: &'r Fixture,
    people: [Principal; PEOPLE],
    roles: [Option<RoleId>; ROLES],
    tokens: [Option<String>; PEOPLE],
}

impl Real {
    pub(super) async fn new() -> Self {
        let fixture = Fixture::new().await;
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(fixture.world.user(&name(number)).await);
        }
        Self { fixture, people: people.try_into().unwrap() }
    }

    pub(super) async fn shop(&mut self) -> Shop<'_> {
        self.fixture.tenant = Fixture::shop_of(&self.fixture.world, self.people[0]).await;
        self.fixture.join(self.people[1], Role::Manager).await;
        self.fixture.join(self.people[2], Role::Clerk).await;
        let (roles, tokens) = ([None; ROLES], [const { None }; PEOPLE]);
        Shop { fixture: &self.fixture, people: self.people, roles, tokens }
    }
}

fn name(number: usize) -> String {
    format!("person-{number}")
}

impl Shop<'_> {
    pub(super) async fn held(&self) -> Held {
        let mut held = [None; PEOPLE];
        for (who, held) in self.people.iter().zip(&mut held) {
            let access = self.fixture.tenants.load_access(*who, self.fixture.tenant).await;
            *held = access.ok().map(|access| access.permissions());
        }
        held
    }

    /// The id of the role in a place, or one that does not exist.
    fn id(&self, place: usize) -> RoleId {
        self.roles[place].unwrap_or_else(RoleId::generate)
    }

    fn role(&self, given: Given) -> MemberRole<Role> {
        match given {
            Given::BuiltIn(role) => role.into(),
            Given::Custom(place) => self.id(place).into(),
        }
    }

    pub(super) async fn take(&mut self, step: &Step) -> Told {
        let fixture = self.fixture;
        let by = match *step {
            Step::Accept { who } => return self.accept(who).await,
            Step::Make { by, .. }
            | Step::Change { by, .. }
            | Step::Delete { by, .. }
            | Step::Assign { by, .. }
            | Step::Invite { by, .. }
            | Step::Remove { by, .. } => self.people[by],
        };
        match fixture.tenants.begin(fixture.request::<TeamManage>(by)).exclusive().await {
            Ok(tx) => drop(tx),
            Err(BeginError::Denied(_) | BeginError::NotAMember) => return Told::NotOpened,
            Err(error) => panic!("{error}"),
        }
        match *step {
            Step::Make { place, based_on, set, .. } => {
                let words: Vec<_> = set.iter().map(TextEnum::as_str).collect();
                match fixture.make(by, &format!("role {place}"), based_on, &words).await {
                    Ok(made) => self.roles[place] = Some(made.id),
                    Err(error) => return told(&error),
                }
            }
            Step::Change { place, set, .. } => {
                let words: Vec<_> = set.iter().map(TextEnum::as_str).collect();
                if let Err(error) = fixture.edit(by, self.id(place), &words).await {
                    return told(&error);
                }
            }
            Step::Delete { place, .. } => match fixture.delete(by, self.id(place)).await {
                Ok(()) => self.roles[place] = None,
                Err(error) => return told(&error),
            },
            Step::Assign { who, given, .. } => {
                let assigned = fixture.assign(by, self.people[who], self.role(given)).await;
                return told_of_member(assigned);
            }
            Step::Invite { who, given, .. } => {
                match fixture.invite(by, &name(who), self.role(given)).await {
                    Ok(token) => self.tokens[who] = Some(token),
                    Err(InviteError::AlreadyMember) => return Told::AlreadyMember,
                    Err(InviteError::Forbidden) => return Told::Forbidden,
                    Err(InviteError::UnknownRole) => return Told::UnknownRole,
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Remove { who, .. } => {
                let begin = fixture.tenants.begin(fixture.request::<TeamManage>(by));
                let mut tx = begin.exclusive().await.unwrap();
                let removed = tx.remove_member(self.people[who].id()).await;
                if removed.is_ok() {
                    tx.commit().await.unwrap();
                }
                return told_of_member(removed);
            }
            Step::Accept { .. } => {}
        }
        Told::Done
    }

    async fn accept(&mut self, who: usize) -> Told {
        let Some(token) = &self.tokens[who] else { return Told::InvalidInvite };
        match self.fixture.accept(self.people[who], token).await {
            Ok(_) => Told::Done,
            Err(AcceptError::Invalid) => Told::InvalidInvite,
            Err(AcceptError::AlreadyMember) => Told::AlreadyMember,
            Err(error) => panic!("{error}"),
        }
    }
}

fn told(error: &RoleError) -> Told {
    match error {
        RoleError::Forbidden => Told::Forbidden,
        RoleError::InUse { .. } => Told::InUse,
        RoleError::NameTaken => Told::NameTaken,
        RoleError::NotFound => Told::NotFound,
        error => panic!("{error}"),
    }
}

fn told_of_member(done: Result<(), MemberError>) -> Told {
    match done {
        Ok(()) => Told::Done,
        Err(MemberError::Forbidden) => Told::Forbidden,
        Err(MemberError::LastOwner) => Told::LastOwner,
        Err(MemberError::NotFound) => Told::NotFound,
        Err(MemberError::UnknownRole) => Told::UnknownRole,
        Err(error) => panic!("{error}"),
    }
}
