//! The access model of an application as one table.

mod parts;

#[doc(hidden)]
pub use self::parts::{MemberRule, covers, holds_all};

/// Declares the access model of an application: roles, plans, permissions, rules for members, and caps.
///
/// A permission is one row: its text, a `yes` or `no` for each role and for each plan in the order of their declarations,
/// whether an unpaid tenant keeps it (`exempt`) or not (`required`), and whether it covers writes (`write`) or only reads
/// (`read`). A row with a missing cell, rule or effect does not compile, so a new role or plan does not compile until each
/// row says what it may do.
///
/// The macro creates
///
/// * a type for the model, which implements [`AccessModel`](crate::access::AccessModel) and
///   [`MemberPolicy`](crate::member_policy::MemberPolicy);
/// * enums for roles, plans and permissions ([`TextEnum`](crate::text_enum::TextEnum));
/// * a type for each permission ([`Permission`](crate::access::Permission)) and each cap (`pg::Resource`);
/// * `Model::policy()`, the whole model as a [table](crate::access::Policy) to commit and review.
///
/// Write the traits by hand for rules that do not fit into a table.
///
/// # Syntax
///
/// * `pub Helpdesk: audited;` makes each change in a tenant require an audit entry
///   ([`Audited`](crate::access::Audited)); `pub Helpdesk;` does not.
/// * One role is marked `(owner)`: each tenant keeps at least one. One plan is marked `(initial)`: new tenants have it.
/// * `+ TicketsRead` after a row: the permission is enough where that one is asked for
///   ([`Implies`](crate::access::Implies)). Each role and plan with the first has to have the second.
/// * `members` says which roles may invite, assign and remove which. Without it, owners may do all of it and others none.
/// * `caps` says how many rows of a table each plan allows: a number, or `none` for any number. `Seats of members` counts
///   members and open invites, `ApiKeys of api_keys` the keys that can be used. `Helpdesk::usage()` is the list of them.
/// * `services` names parts of the application that act in tenants without a user, each with its permissions
///   ([`Service`](crate::access::Service)).
///
/// # Example
///
/// ```
/// mt_core::model! {
///     /// A helpdesk for shops.
///     pub Helpdesk: audited;
///
///     roles Role {
///         Owner = "owner" (owner),
///         Agent = "agent",
///         Viewer = "viewer",
///     }
///     plans Plan {
///         Basic = "basic" (initial),
///         Plus = "plus",
///     }
///     permissions Action {
///         //                                Owner Agent Viewer  Basic Plus
///         TicketsRead = "tickets.read"     [yes   yes   yes]   [yes   yes] exempt read;
///         TicketsWrite = "tickets.write"   [yes   yes   no]    [yes   yes] required write + TicketsRead;
///         TicketsDelete = "tickets.delete" [yes   no    no]    [no    yes] exempt write + TicketsRead;
///     }
///     members {
///         Owner invites [Agent, Viewer] assigns [Owner, Agent, Viewer] removes [Owner, Agent, Viewer];
///         Agent invites [Viewer] removes [Viewer];
///     }
/// }
///
/// use mt_core::access::AccessModel;
/// use mt_core::member_policy::MemberPolicy;
///
/// assert!(Helpdesk::role_grants(Role::Agent, Action::TicketsWrite));
/// assert!(!Helpdesk::role_grants(Role::Viewer, Action::TicketsWrite));
/// assert!(!Helpdesk::plan_includes(Plan::Basic, Action::TicketsDelete));
/// assert!(Helpdesk::may_invite(Role::Agent, Role::Viewer) && !Helpdesk::may_invite(Role::Agent, Role::Agent));
/// ```
///
/// A role without a cell does not compile:
///
/// ```compile_fail
/// mt_core::model! {
///     pub Notebook;
///     roles Role { Owner = "owner" (owner), Reader = "reader" }
///     plans Plan { Free = "free" (initial) }
///     permissions Action {
///         NotesRead = "notes.read" [yes] [yes] exempt read;
///     }
/// }
/// ```
#[macro_export]
macro_rules! model {
    (
        $(#[$model_meta:meta])*
        $vis:vis $model:ident $(: $audited:ident)?;

        roles $role:ident {
            $($(#[$role_meta:meta])* $role_name:ident = $role_text:literal $(($role_mark:ident))?),+ $(,)?
        }
        plans $plan:ident {
            $($(#[$plan_meta:meta])* $plan_name:ident = $plan_text:literal $(($plan_mark:ident))?),+ $(,)?
        }
        permissions $list:ident {
            $(
                $(#[$perm_meta:meta])*
                $perm:ident = $perm_text:literal
                [$($role_cell:ident)*] [$($plan_cell:ident)*]
                $($rule:ident)* $(+ $implied:ident)*;
            )+
        }
        $(members { $($members:tt)* })?
        $(caps { $($caps:tt)* })?
        $(services {
            $($(#[$service_meta:meta])* $service:ident = $service_text:literal [$($service_perm:ident),+ $(,)?];)+
        })?
    ) => {
        $(#[$model_meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $model;

        $crate::text_enum! {
            #[doc = concat!("The roles of [`", stringify!($model), "`].")]
            $vis enum $role {
                $($(#[$role_meta])* #[doc = concat!("The role `", $role_text, "`.")] $role_name = $role_text,)+
            }
        }

        $crate::text_enum! {
            #[doc = concat!("The plans of [`", stringify!($model), "`].")]
            $vis enum $plan {
                $($(#[$plan_meta])* #[doc = concat!("The plan `", $plan_text, "`.")] $plan_name = $plan_text,)+
            }
        }

        $crate::text_enum! {
            #[doc = concat!("The permissions of [`", stringify!($model), "`].")]
            $vis enum $list {
                $($(#[$perm_meta])* #[doc = concat!("The permission `", $perm_text, "`.")] $perm = $perm_text,)+
            }
        }

        impl $crate::access::AccessModel for $model {
            type Role = $role;
            type Plan = $plan;
            type Permission = $list;
            type Auditing = $crate::model!(@audited $($audited)?);

            $($(
                $crate::model!(@initial $plan_mark);
                const INITIAL_PLAN: $plan = $plan::$plan_name;
            )?)+

            fn role_grants(role: $role, permission: $list) -> bool {
                match permission {
                    $($list::$perm => $perm::ROLE_CELLS[role as usize],)+
                }
            }

            fn plan_includes(plan: $plan, permission: $list) -> bool {
                match permission {
                    $($list::$perm => $perm::PLAN_CELLS[plan as usize],)+
                }
            }

            fn is_owner(role: $role) -> bool {
                role == <Self as $crate::member_policy::MemberPolicy>::OWNER
            }
        }

        $(
            $(#[$perm_meta])*
            #[doc = concat!("The permission `", $perm_text, "`.")]
            #[derive(Clone, Copy, Debug)]
            $vis struct $perm;

            impl $perm {
                const ROLE_CELLS: &'static [bool] = &[$($crate::model!(@cell $role_cell)),*];
                const PLAN_CELLS: &'static [bool] = &[$($crate::model!(@cell $plan_cell)),*];
            }

            const _: () = assert!(
                $perm::ROLE_CELLS.len() == <$role as $crate::text_enum::TextEnum>::ALL.len(),
                concat!("`", stringify!($perm), "` needs one `yes` or `no` for each role"),
            );
            const _: () = assert!(
                $perm::PLAN_CELLS.len() == <$plan as $crate::text_enum::TextEnum>::ALL.len(),
                concat!("`", stringify!($perm), "` needs one `yes` or `no` for each plan"),
            );

            impl $crate::access::Permission for $perm {
                type Model = $model;
                type Effect = $crate::model!(@effect $($rule)*);
                const KEY: $list = $list::$perm;
                const BILLING: $crate::access::Billing = $crate::model!(@billing $($rule)*);
            }

            $crate::model!(@needs_no_entry $perm $($rule)*);

            $(
                impl $crate::access::Implies<$implied> for $perm {}

                const _: () = assert!(
                    $crate::model::holds_all($perm::ROLE_CELLS, $implied::ROLE_CELLS)
                        && $crate::model::holds_all($perm::PLAN_CELLS, $implied::PLAN_CELLS),
                    concat!(
                        "each role and plan with `", stringify!($perm), "` needs `", stringify!($implied), "` too"
                    ),
                );
                const _: () = assert!(
                    $crate::model::covers::<$perm, $implied>(),
                    concat!(
                        "`", stringify!($perm), "` cannot cover `", stringify!($implied),
                        "`, which needs payment or writes"
                    ),
                );
            )*
        )+

        impl $crate::member_policy::MemberPolicy for $model {
            $($(
                $crate::model!(@owner $role_mark);
                const OWNER: $role = $role::$role_name;
            )?)+

            fn may_invite(by: $role, role: $role) -> bool {
                Self::MEMBER_RULES.iter().any(|rule| rule.by == by && rule.invites.contains(&role))
            }

            fn may_assign(by: $role, from: $role, to: $role) -> bool {
                Self::MEMBER_RULES
                    .iter()
                    .any(|rule| rule.by == by && rule.assigns.contains(&from) && rule.assigns.contains(&to))
            }

            fn may_remove(by: $role, member: $role) -> bool {
                Self::MEMBER_RULES.iter().any(|rule| rule.by == by && rule.removes.contains(&member))
            }
        }

        impl $model {
            const MEMBER_RULES: &'static [$crate::model::MemberRule<$role>] =
                $crate::model!(@members $model $role $({ $($members)* })?);
        }

        $crate::model!(@caps $vis $model $plan { $($($caps)*)? });
        $crate::model!(@usage $vis $model { $($($caps)*)? });

        $($(
            $(#[$service_meta])*
            #[doc = concat!("The service `", $service_text, "`.")]
            #[derive(Clone, Copy, Debug)]
            $vis struct $service;

            impl $crate::access::Service for $service {
                type Model = $model;
                const NAME: &'static str = $service_text;
            }

            $(impl $crate::access::DeclaredWith<$service_perm> for $service {})+
        )+)?

        impl $model {
            /// Returns the whole model as a table, to print or to compare with a committed one.
            #[must_use]
            $vis fn policy() -> $crate::access::Policy<$model> {
                let policy = $crate::access::Policy::<$model>::of()$(.permission::<$perm>())+.members();
                let policy = $crate::model!(@each policy cap { $($($caps)*)? });
                policy$($(.service::<$service>(&[$($list::$service_perm),+]))+)?
            }
        }
    };

    (@audited) => { $crate::access::Unaudited };
    (@audited audited) => { $crate::access::Audited };
    (@audited $other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is unknown; write `audited`, or nothing"))
    };
    (@cell yes) => { true };
    (@cell no) => { false };
    (@cell $other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is unknown; write `yes` or `no`"))
    };
    (@initial initial) => {};
    (@initial $other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is unknown; write `(initial)` after the plan of new tenants"));
    };
    (@owner owner) => {};
    (@owner $other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is unknown; write `(owner)` after the owners' role"));
    };

    (@billing exempt $effect:ident) => { $crate::access::Billing::Exempt };
    (@billing required $effect:ident) => { $crate::access::Billing::Required };
    (@billing $($other:ident)*) => {
        compile_error!(concat!(
            "`", stringify!($($other)*), "`: write `exempt` or `required`, and then `read` or `write`"
        ))
    };
    (@effect $billing:ident read) => { $crate::access::Reads };
    (@effect $billing:ident write) => { $crate::access::Writes };
    (@effect $($other:ident)*) => { compile_error!("write `read` or `write` after the billing rule") };

    (@needs_no_entry $perm:ident $billing:ident read) => {
        impl $crate::access::NeedsNoEntry for $perm {}
    };
    // One that writes, or what `@effect` complains about.
    (@needs_no_entry $perm:ident $($rule:ident)*) => {};

    // Owners do everything that a table does not give to others.
    (@members $model:ident $role:ident) => {
        &[$crate::model::MemberRule {
            by: <$model as $crate::member_policy::MemberPolicy>::OWNER,
            invites: <$role as $crate::text_enum::TextEnum>::ALL,
            assigns: <$role as $crate::text_enum::TextEnum>::ALL,
            removes: <$role as $crate::text_enum::TextEnum>::ALL,
        }]
    };
    (@members $model:ident $role:ident {
        $(
            $by:ident
            $(invites [$($invited:ident),* $(,)?])?
            $(assigns [$($assigned:ident),* $(,)?])?
            $(removes [$($removed:ident),* $(,)?])?;
        )*
    }) => {
        &[$($crate::model::MemberRule {
            by: $role::$by,
            invites: &[$($($role::$invited),*)?],
            assigns: &[$($($role::$assigned),*)?],
            removes: &[$($($role::$removed),*)?],
        },)*]
    };

    (@caps $vis:vis $model:ident $plan:ident {}) => {};
    (@caps $vis:vis $model:ident $plan:ident {
        $(#[$meta:meta])* $cap:ident of $source:ident { $($caps:tt)* } $($rest:tt)*
    }) => {
        $crate::model!(@cap $vis $model $plan [$(#[$meta])*] $cap $source
            ($crate::model!(@rows $source)) { $($caps)* });
        $crate::model!(@caps $vis $model $plan { $($rest)* });
    };
    (@caps $vis:vis $model:ident $plan:ident {
        $(#[$meta:meta])* $cap:ident of $schema:ident . $table:ident { $($caps:tt)* } $($rest:tt)*
    }) => {
        $crate::model!(@cap $vis $model $plan [$(#[$meta])*] $cap $table
            (concat!("select 1 from ", stringify!($schema), ".", stringify!($table),
                " where tenant_id = (select mt.tenant_id())")) { $($caps)* });
        $crate::model!(@caps $vis $model $plan { $($rest)* });
    };
    (@cap $vis:vis $model:ident $plan:ident [$(#[$meta:meta])*] $cap:ident $name:ident $rows:tt {
        $($plan_name:ident: $most:tt),+ $(,)?
    }) => {
        $(#[$meta])*
        #[doc = concat!("The cap on ", stringify!($name), ".")]
        #[derive(Clone, Copy, Debug)]
        $vis struct $cap;

        impl $crate::pg::Resource for $cap {
            type Model = $model;
            const NAME: &'static str = stringify!($name);
            const ROWS: &'static str = $rows;

            fn cap(plan: $plan) -> Option<u32> {
                match plan {
                    $($plan::$plan_name => $crate::model!(@most $most),)+
                }
            }
        }
    };
    (@rows members) => { $crate::pg::invites::SEATS };
    (@rows api_keys) => { $crate::pg::api_keys::LIVE };
    (@rows $other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is unknown; write `members`, `api_keys` or `schema.table`"))
    };
    (@most none) => { None };
    (@most $most:literal) => { Some($most) };

    (@usage $vis:vis $model:ident {}) => {};
    (@usage $vis:vis $model:ident { $($caps:tt)+ }) => {
        impl $model {
            /// Returns the capped resources, to show how much of each is used.
            #[must_use]
            $vis fn usage() -> $crate::pg::Usage<$model> {
                let usage = $crate::pg::Usage::none();
                $crate::model!(@each usage and { $($caps)+ })
            }
        }
    };
    // `value.method::<Cap>()` for each cap.
    (@each $value:ident $method:ident {}) => { $value };
    (@each $value:ident $method:ident {
        $(#[$meta:meta])* $cap:ident of $source:ident { $($caps:tt)* } $($rest:tt)*
    }) => {{
        let $value = $value.$method::<$cap>();
        $crate::model!(@each $value $method { $($rest)* })
    }};
    (@each $value:ident $method:ident {
        $(#[$meta:meta])* $cap:ident of $schema:ident . $table:ident { $($caps:tt)* } $($rest:tt)*
    }) => {{
        let $value = $value.$method::<$cap>();
        $crate::model!(@each $value $method { $($rest)* })
    }};
}
