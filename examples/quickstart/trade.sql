-- Run again and again: somebody orders, somebody's order moves on, now and then one is cancelled.
insert into orders (customer_id, item, quantity, price)
select random() * 49 + 1, (array['rope', 'lock key', 'lantern', 'tiller', 'fender'])[ceil(random() * 5)::int], ceil(random() * 4), (random() * 90)::numeric(10, 2)
from generate_series(1, 5);
update orders set status = (array['paid', 'packed', 'shipped'])[ceil(random() * 3)::int]
where id in (select id from orders order by random() limit 3);
delete from orders where id = (select id from orders where status = 'shipped' order by id limit 1) and random() < 0.2;
