create type mood as enum ('calm', 'rough');
create table odd (
  id int primary key, amount numeric(6,2) not null, sea mood, grid int[][], day date, moment timestamptz, pin text, "va-l" text
);
insert into odd values (1, 'NaN', 'rough', '{{1,2},{3,4}}', '0044-03-15 BC', '294276-12-31 23:59:59.999999+00', 'secret', E'\t"\\');
