create table orders (id int primary key, item text not null, qty int not null);
create table customers (id int primary key, name text not null);
insert into orders values (1, 'rope', 2), (2, 'lantern', 1);
insert into customers values (7, 'Ann');
