create table customers (
  id bigint generated always as identity primary key,
  name text not null,
  email text not null unique,
  since date not null default current_date
);
create table orders (
  id bigint generated always as identity primary key,
  customer_id bigint not null references customers,
  item text not null,
  quantity int not null check (quantity > 0),
  price numeric(10, 2) not null,
  status text not null default 'placed',
  placed_at timestamptz not null default now()
);
insert into customers (name, email)
select 'Customer ' || i, 'customer' || i || '@example.com' from generate_series(1, 50) i;
insert into orders (customer_id, item, quantity, price)
select i % 50 + 1, (array['rope', 'lock key', 'lantern', 'tiller', 'fender'])[i % 5 + 1], i % 4 + 1, (i * 37 % 9000) / 100.0
from generate_series(1, 500) i;
