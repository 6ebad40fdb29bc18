//! Maps and sets as sorted lists. `alloc`'s trees are faster for many thousand entries, but each kind of them is half a
//! kilobyte of code, and a microcontroller's firmware has a dozen kinds.

use alloc::vec::{IntoIter, Vec};
use core::borrow::Borrow;

/// A map from what can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Map<K, V> {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// All entries, by their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> Map<K, V> {
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0
            .binary_search_by(|(other, _)| other.borrow().cmp(key))
    }

    /// Adds an entry, or replaces what was there, which is returned.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(index) => Some(core::mem::replace(&mut self.0[index].1, value)),
            Err(index) => {
                self.0.insert(index, (key, value));
                None
            }
        }
    }

    /// What the key stands for.
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let index = self.place(key).ok()?;
        Some(&self.0[index].1)
    }

    /// What the key stands for; a new value if that was nothing.
    pub(crate) fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let index = self.place(&key).unwrap_or_else(|index| {
            self.0.insert(index, (key, V::default()));
            index
        });
        &mut self.0[index].1
    }

    /// Whether the key is there.
    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }
}

/// A set of what can be compared.
#[derive(Debug)]
pub(crate) struct Set<K>(Map<K, ()>);

impl<K: Ord> Set<K> {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self(Map::new())
    }

    /// Adds a key; false: it was there.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }
}
