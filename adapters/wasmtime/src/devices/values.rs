//! Values of components as core values and in memory, by their types: the canonical ABI from the other side, with a scratch
//! memory in the guest's place. Only the types that interfaces of devices have.

use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::trap::Trap;
use wasmtime::component::types::Type;
use wasmtime::component::{ResourceAny, ResourceType, Val};
use wasmtime::{Error, Result};

/// The memory of one call.
#[derive(Default)]
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    /// For another call.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// One byte.
    pub(super) fn byte(&self, at: u32) -> Result<u8> {
        self.bytes::<1>(at).map(|[byte]| byte)
    }

    /// Room for `size` bytes.
    pub(super) fn allocate(&mut self, size: u32, align: u32) -> u32 {
        let place = (self.0.len() as u32).next_multiple_of(align.max(1));
        self.0.resize(place as usize + size as usize, 0);
        place
    }

    /// Bytes at a place of their own, aligned for any number.
    pub(super) fn put(&mut self, bytes: &[u8]) -> u32 {
        let place = self.allocate(bytes.len() as u32, 8);
        self.write(place, bytes);
        place
    }

    fn write(&mut self, at: u32, bytes: &[u8]) {
        self.0[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn bytes<const N: usize>(&self, at: u32) -> Result<[u8; N]> {
        self.slice(at, N as u32)?
            .try_into()
            .map_err(|_| Error::msg("too few bytes"))
    }

    pub(super) fn slice(&self, at: u32, length: u32) -> Result<&[u8]> {
        self.0
            .get(at as usize..)
            .and_then(|rest| rest.get(..length as usize))
            .ok_or_else(|| Error::msg("outside of the scratch memory"))
    }
}

impl Guest for Scratch {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn realloc(&mut self, _: Realloc, _: u32, _: u32, align: u32, size: u32) -> Result<u32, Trap> {
        Ok(self.allocate(size, align))
    }
}

/// How handles cross over.
pub(super) trait Resources {
    /// From Wasmtime's to the host function's.
    fn lower(&mut self, resource: ResourceAny) -> Result<u32>;
    /// Back.
    fn lift(&mut self, ty: ResourceType, handle: u32) -> Result<ResourceAny>;
}

/// Payloads of a type that is a choice, in the order of its cases; none for one that is not.
fn cases(ty: &Type) -> Option<Vec<Option<Type>>> {
    Some(match ty {
        Type::Variant(variant) => variant.cases().map(|case| case.ty).collect(),
        Type::Option(option) => vec![None, Some(option.ty())],
        Type::Result(result) => vec![result.ok(), result.err()],
        _ => return None,
    })
}

/// Parts of a type that is a row of others.
fn parts(ty: &Type) -> Option<Vec<Type>> {
    Some(match ty {
        Type::Record(record) => record.fields().map(|field| field.ty).collect(),
        Type::Tuple(tuple) => tuple.types().collect(),
        _ => return None,
    })
}

/// Size and alignment in memory.
pub(super) fn layout(ty: &Type) -> (u32, u32) {
    if let Some(cases) = cases(ty) {
        let payloads = cases.iter().flatten().map(layout);
        let (size, align) =
            payloads.fold((0, 1), |(size, align), (s, a)| (size.max(s), align.max(a)));
        return ((align + size).next_multiple_of(align), align);
    }
    if let Some(parts) = parts(ty) {
        let (size, align) = parts
            .iter()
            .map(layout)
            .fold((0_u32, 1), |(size, align), (s, a)| {
                (size.next_multiple_of(a) + s, align.max(a))
            });
        return (size.next_multiple_of(align), align);
    }
    match ty {
        Type::S16 | Type::U16 => (2, 2),
        Type::S32 | Type::U32 | Type::Float32 | Type::Char | Type::Own(_) | Type::Borrow(_) => {
            (4, 4)
        }
        Type::S64 | Type::U64 | Type::Float64 => (8, 8),
        Type::String | Type::List(_) => (8, 4),
        // Booleans, bytes, enums of at most 256 cases, flags of at most 8.
        _ => (1, 1),
    }
}

/// Count of core values.
pub(super) fn flat(ty: &Type) -> usize {
    if let Some(cases) = cases(ty) {
        return 1 + cases.iter().flatten().map(flat).max().unwrap_or(0);
    }
    if let Some(parts) = parts(ty) {
        return parts.iter().map(flat).sum();
    }
    match ty {
        Type::String | Type::List(_) => 2,
        _ => 1,
    }
}

/// Which case a value is, and its payload.
fn chosen<'v>(value: &'v Val, ty: &Type) -> Option<(usize, Option<&'v Val>)> {
    Some(match (value, ty) {
        (Val::Variant(name, payload), Type::Variant(variant)) => {
            let place = variant.cases().position(|case| case.name == name)?;
            (place, payload.as_deref())
        }
        (Val::Option(payload), Type::Option(_)) => (payload.is_some().into(), payload.as_deref()),
        (Val::Result(Ok(payload)), Type::Result(_)) => (0, payload.as_deref()),
        (Val::Result(Err(payload)), Type::Result(_)) => (1, payload.as_deref()),
        _ => return None,
    })
}

/// A value's parts.
fn row(value: &Val) -> Option<Vec<&Val>> {
    Some(match value {
        Val::Record(fields) => fields.iter().map(|(_, value)| value).collect(),
        Val::Tuple(values) => values.iter().collect(),
        _ => return None,
    })
}

/// A value of one core value.
fn scalar(host: &mut impl Resources, value: &Val, ty: &Type) -> Result<u64> {
    Ok(match (value, ty) {
        (Val::Bool(value), _) => (*value).into(),
        (Val::U8(value), _) => (*value).into(),
        (Val::U16(value), _) => (*value).into(),
        (Val::U32(value), _) => (*value).into(),
        (Val::U64(value), _) => *value,
        (Val::S32(value), _) => u64::from(*value as u32),
        (Val::S64(value), _) => *value as u64,
        (Val::Float32(value), _) => value.to_bits().into(),
        (Val::Float64(value), _) => value.to_bits(),
        (Val::Enum(name), Type::Enum(names)) => names
            .names()
            .position(|case| case == name)
            .ok_or_else(|| unexpected(ty))? as u64,
        (Val::Flags(set), Type::Flags(names)) => names
            .names()
            .enumerate()
            .filter(|(_, name)| set.iter().any(|flag| flag == name))
            .fold(0, |bits, (place, _)| bits | 1 << place),
        (Val::Resource(resource), _) => host.lower(*resource)?.into(),
        _ => return Err(unexpected(ty)),
    })
}

fn unexpected(ty: &Type) -> Error {
    Error::msg(format!("no interface of devices has a value of {ty:?}"))
}

/// Elements of a list or bytes of a string, stored; pointer and length.
fn store_list(
    host: &mut impl Resources,
    value: &Val,
    ty: &Type,
    scratch: &mut Scratch,
) -> Result<(u32, u32)> {
    match (value, ty) {
        (Val::String(text), _) => Ok((scratch.put(text.as_bytes()), text.len() as u32)),
        (Val::List(values), Type::List(list)) => {
            let element = list.ty();
            let (size, align) = layout(&element);
            let place = scratch.allocate(size * values.len() as u32, align);
            for (index, value) in (0..).zip(values) {
                store(host, value, &element, place + index * size, scratch)?;
            }
            Ok((place, values.len() as u32))
        }
        _ => Err(unexpected(ty)),
    }
}

/// As core values.
pub(super) fn lower(
    host: &mut impl Resources,
    value: &Val,
    ty: &Type,
    slots: &mut Vec<u64>,
    scratch: &mut Scratch,
) -> Result<()> {
    if let Some(cases) = cases(ty) {
        let end = slots.len() + flat(ty);
        let (place, payload) = chosen(value, ty).ok_or_else(|| unexpected(ty))?;
        slots.push(place as u64);
        if let (Some(payload), Some(Some(ty))) = (payload, cases.get(place)) {
            lower(host, payload, ty, slots, scratch)?;
        }
        slots.resize(end, 0);
        return Ok(());
    }
    if let Some(parts) = parts(ty) {
        let row = row(value).ok_or_else(|| unexpected(ty))?;
        for (value, ty) in row.into_iter().zip(&parts) {
            lower(host, value, ty, slots, scratch)?;
        }
        return Ok(());
    }
    if matches!(ty, Type::String | Type::List(_)) {
        let (place, length) = store_list(host, value, ty, scratch)?;
        slots.extend([u64::from(place), u64::from(length)]);
        return Ok(());
    }
    slots.push(scalar(host, value, ty)?);
    Ok(())
}

/// Into memory.
fn store(
    host: &mut impl Resources,
    value: &Val,
    ty: &Type,
    at: u32,
    scratch: &mut Scratch,
) -> Result<()> {
    let (size, align) = layout(ty);
    if let Some(cases) = cases(ty) {
        let (place, payload) = chosen(value, ty).ok_or_else(|| unexpected(ty))?;
        scratch.write(at, &[place as u8]);
        if let (Some(payload), Some(Some(ty))) = (payload, cases.get(place)) {
            store(host, payload, ty, at + align, scratch)?;
        }
        return Ok(());
    }
    if let Some(parts) = parts(ty) {
        let row = row(value).ok_or_else(|| unexpected(ty))?;
        let mut offset = 0_u32;
        for (value, ty) in row.into_iter().zip(&parts) {
            let (size, align) = layout(ty);
            offset = offset.next_multiple_of(align);
            store(host, value, ty, at + offset, scratch)?;
            offset += size;
        }
        return Ok(());
    }
    if matches!(ty, Type::String | Type::List(_)) {
        let (place, length) = store_list(host, value, ty, scratch)?;
        scratch.write(at, &place.to_le_bytes());
        scratch.write(at + 4, &length.to_le_bytes());
        return Ok(());
    }
    let bits = scalar(host, value, ty)?.to_le_bytes();
    scratch.write(at, &bits[..size as usize]);
    Ok(())
}

/// Out of memory.
pub(super) fn load(
    host: &mut impl Resources,
    ty: &Type,
    at: u32,
    scratch: &Scratch,
) -> Result<Val> {
    if let Some(cases) = cases(ty) {
        let place = usize::from(scratch.bytes::<1>(at)?[0]);
        let (_, align) = layout(ty);
        let payload = match cases.get(place).ok_or_else(|| unexpected(ty))? {
            Some(ty) => Some(Box::new(load(host, ty, at + align, scratch)?)),
            None => None,
        };
        return Ok(match ty {
            Type::Variant(variant) => {
                let case = variant.cases().nth(place).ok_or_else(|| unexpected(ty))?;
                Val::Variant(case.name.to_owned(), payload)
            }
            Type::Option(_) => Val::Option(payload),
            _ if place == 0 => Val::Result(Ok(payload)),
            _ => Val::Result(Err(payload)),
        });
    }
    if let Some(parts) = parts(ty) {
        let mut offset = 0_u32;
        let mut values = Vec::with_capacity(parts.len());
        for ty in &parts {
            let (size, align) = layout(ty);
            offset = offset.next_multiple_of(align);
            values.push(load(host, ty, at + offset, scratch)?);
            offset += size;
        }
        return Ok(match ty {
            Type::Record(record) => {
                let names = record.fields().map(|field| field.name.to_owned());
                Val::Record(names.zip(values).collect())
            }
            _ => Val::Tuple(values),
        });
    }
    Ok(match ty {
        Type::Bool => Val::Bool(scratch.bytes::<1>(at)?[0] != 0),
        Type::U8 => Val::U8(scratch.bytes::<1>(at)?[0]),
        Type::U16 => Val::U16(u16::from_le_bytes(scratch.bytes(at)?)),
        Type::U32 => Val::U32(u32::from_le_bytes(scratch.bytes(at)?)),
        Type::U64 => Val::U64(u64::from_le_bytes(scratch.bytes(at)?)),
        Type::Float32 => Val::Float32(f32::from_le_bytes(scratch.bytes(at)?)),
        Type::Enum(names) => {
            let place = usize::from(scratch.bytes::<1>(at)?[0]);
            Val::Enum(
                names
                    .names()
                    .nth(place)
                    .ok_or_else(|| unexpected(ty))?
                    .to_owned(),
            )
        }
        Type::Own(resource) => {
            let handle = u32::from_le_bytes(scratch.bytes(at)?);
            Val::Resource(host.lift(*resource, handle)?)
        }
        Type::String | Type::List(_) => {
            let place = u32::from_le_bytes(scratch.bytes(at)?);
            let length = u32::from_le_bytes(scratch.bytes(at + 4)?);
            match ty {
                Type::List(list) => {
                    let element = list.ty();
                    let (size, _) = layout(&element);
                    (0..length)
                        .map(|index| load(host, &element, place + index * size, scratch))
                        .collect::<Result<_>>()
                        .map(Val::List)?
                }
                _ => Val::String(std::str::from_utf8(scratch.slice(place, length)?)?.to_owned()),
            }
        }
        _ => return Err(unexpected(ty)),
    })
}
