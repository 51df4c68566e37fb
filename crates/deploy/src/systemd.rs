//! x
/// x
pub fn unit(_: &crate::Deployment, _: &str, _: bool) -> Option<String> {
    None
}
