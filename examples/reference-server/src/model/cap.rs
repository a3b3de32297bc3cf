//! The caps of each plan. A cap limits creation only; existing rows stay.

use mt_core::pg::{Resource, invites};

use super::{Plan, Product};

/// Projects of an org.
#[derive(Debug)]
pub struct Projects;

/// Tasks of an org, over all its projects and in every status.
#[derive(Debug)]
pub struct Tasks;

/// Members of an org and, for invites, its pending invites.
#[derive(Debug)]
pub struct Seats;

impl Resource for Projects {
    type Model = Product;
    const NAME: &'static str = "projects";
    const ROWS: &'static str =
        "select 1 from app.projects where tenant_id = (select mt.tenant_id())";

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(3),
            Plan::Pro => None,
        }
    }
}

impl Resource for Tasks {
    type Model = Product;
    const NAME: &'static str = "tasks";
    const ROWS: &'static str = "select 1 from app.tasks where tenant_id = (select mt.tenant_id())";

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(100),
            Plan::Pro => None,
        }
    }
}

impl Resource for Seats {
    type Model = Product;
    const NAME: &'static str = "members";
    const ROWS: &'static str = invites::SEATS;

    fn cap(plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => Some(4),
            Plan::Pro => None,
        }
    }
}
