create table orders (id int primary key, item text, price numeric(8, 2) not null);
insert into orders values (1, 'rope', 12.5), (2, null, 0.99);
