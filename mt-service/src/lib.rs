//! What a multi-tenant service needs around its endpoints.
#![cfg_attr(docsrs, feature(doc_cfg))]
