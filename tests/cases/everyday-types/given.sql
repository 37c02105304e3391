create type mood as enum ('calm', 'rough');
create table everything (
  id int primary key, small smallint, big bigint, ratio real, exact double precision, price numeric(8,2), free numeric, yes boolean,
  word varchar(20), body text, raw bytea, uid uuid, day date, at_time time, stamp timestamp, stamp_ms timestamp(3), instant timestamptz,
  doc json, docb jsonb, tags text[], counts int[], sea mood
);
insert into everything values (
  1, -7, 9007199254740993, 1.5, -0.25, 123.45, 12345.6789, true, 'rope', 'ü "quoted" \ ✓', '\xdeadbeef',
  '8d8a1f4e-0c5e-4f6b-9d2e-1a2b3c4d5e6f', '2018-06-20', '13:12:11.789456', '2018-06-20 15:13:16.945104', '2018-06-20 15:13:16.945',
  '2018-06-20 15:13:16.945104+02', '{"a": [1, 2]}', '{"b":null}', array['x', null, 'y z'], array[1, null, 3], 'rough'
);
