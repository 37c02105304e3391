create table orders (id int primary key, item text not null, qty int not null);
insert into orders values (1, 'rope', 2), (2, 'lantern', 1);
